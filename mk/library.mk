# libvireo, static and shared, and the program on top of it.

# Linked in this order: what no `vireo run` touches comes last, so that the host need not map it.
FLOOR_DIRS := vmm/base vmm/core vmm/config devices devices/backend devices/virtio devices/platform vmm/kvm arch arch/$(ARCH) vmm/machine/place vmm/machine vmm/lib \
	vmm/lib/control vmm/watch vmm/sandbox
LIB_SRCS := $(wildcard $(FLOOR_DIRS:%=%/*.c))
CLI_SRCS := $(wildcard vmm/cli/*.c)
# The laboratory: no part of the library.
BENCH_SRCS := $(wildcard bench/*.c bench/exits/*.c bench/fair/*.c bench/result/*.c bench/report/*.c bench/live/*.c) bench/arch/$(ARCH).c bench/sandbox/bare.c bench/sandbox/bare_$(ARCH).c bench/sandbox/rows.c bench/sandbox/sandbox.c
BENCH_CLI_SRCS := $(wildcard bench/cli/*.c)
BENCH_GUESTS := bench fair
TEST_GUESTS := reader # a file of its own: build/guest/reader.bin
GUESTS := $(patsubst guest/%/main.c,%,$(wildcard guest/*/main.c))
# What runs at the privileged level in a sandbox: some hundred bytes of assembly.
SANDBOX_OBJ := $(BUILD)/obj/guest/sandbox/$(ARCH).o
LIB_OBJS := $(LIB_SRCS:%.c=$(BUILD)/obj/%.o) $(SANDBOX_OBJ) $(patsubst %,$(BUILD)/guest/embed-%.o,$(filter-out $(BENCH_GUESTS) $(TEST_GUESTS),$(GUESTS)))
BENCH_OBJS := $(BENCH_SRCS:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/bench/report/style.o $(BENCH_GUESTS:%=$(BUILD)/guest/embed-%.o) $(BUILD)/guest/embed-work.o
CLI_OBJS := $(CLI_SRCS:%.c=$(BUILD)/obj/%.o)
BENCH_CLI_OBJS := $(BENCH_CLI_SRCS:%.c=$(BUILD)/obj/%.o)
DEPS += $(patsubst %.c,$(BUILD)/obj/%.d,$(LIB_SRCS) $(BENCH_SRCS) $(CLI_SRCS) $(BENCH_CLI_SRCS))

$(BUILD)/objects: FORCE
	@mkdir -p $(@D) && echo '$(LIB_OBJS) $(BENCH_OBJS) $(HELPER_OBJS)' | cmp -s - $@ || echo '$(LIB_OBJS) $(BENCH_OBJS) $(HELPER_OBJS)' > $@

$(SANDBOX_OBJ): guest/sandbox/$(ARCH).S arch/$(ARCH)/user_layout.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,AS)$(CC) $(TARGET_FLAGS) -I. -c -o $@ $<

# The style sheet of the HTML page.
$(BUILD)/obj/bench/report/style.o: bench/report/style.S bench/report/style.css $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,AS)$(CC) -c -o $@ $<

# Every symbol visible: for the laboratory, unit tests and fuzzers, never installed.
$(BUILD)/internal.a: $(LIB_OBJS) $(BENCH_OBJS) $(BUILD)/objects
	@rm -f $@
	$(call say,AR)$(AR) rcsT $@ $(LIB_OBJS) $(BENCH_OBJS)

# One relocatable object in which all names but vireo_* are local, so that they can't clash with the names of the program that links it.
$(BUILD)/libvireo.a: $(LIB_OBJS) $(BUILD)/objects
	@rm -f $@
	$(call say,AR)$(LD) -r -o $(BUILD)/vireo.o $(LIB_OBJS)
	$(Q)$(OBJCOPY) --wildcard --keep-global-symbol='vireo_*' $(BUILD)/vireo.o
	$(Q)$(AR) rcs $@ $(BUILD)/vireo.o

# What knows no VM, for the program too: libvireo.a keeps its own names to itself.
BASE_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(filter vmm/base/%,$(LIB_SRCS)))
$(BUILD)/base.a: $(BASE_OBJS) $(BUILD)/objects
	@rm -f $@
	$(call say,AR)$(AR) rcsT $@ $(BASE_OBJS)

SHARED = libvireo.so.$(SOVERSION)
# It stays mapped after dlclose: a handler of ours may be installed, and a thread may still wait for a disk that does not answer.
$(BUILD)/libvireo.so: $(LIB_OBJS) $(BUILD)/objects mk/libvireo.map
	$(call say,LD)$(LINK) -shared -Wl,-z,nodelete -Wl,-soname,$(SHARED) -Wl,--version-script=mk/libvireo.map -Wl,--no-undefined \
		-o $(BUILD)/$(SHARED) $(LIB_OBJS) $(LIBS_SHARED)
	$(Q)ln -sf $(SHARED) $@

# Relative relocations take a bit each instead of 24 bytes (glibc 2.36; binutils have it for x86 first).
PACKED_x86 := -Wl,-z,pack-relative-relocs
# The C runtime's own last function is empty (destructors have a table), but calling it would map the end of the program's code.
NO_FINI := -Wl,-fini=no_such_function

# `vireo` is made of the library as anybody has it. The laboratory is a program of its own that sees every floor.
PROGRAMS := vireo vireo-bench
LINK_PROGRAM = $(call say,LD)$(LINK) $(PACKED_$(ARCH)) $(NO_FINI) -pie -o $@ $(filter %.o %.a,$^) $(LIBS_STATIC) $(LIBS_OWN)
VIREO_OBJS := $(CLI_OBJS)
VIREO_BENCH_OBJS := $(filter-out $(BUILD)/obj/vmm/cli/vireo.o,$(CLI_OBJS)) $(BENCH_CLI_OBJS)
$(BUILD)/vireo: $(VIREO_OBJS) $(BUILD)/base.a $(BUILD)/libvireo.a
	$(LINK_PROGRAM)
$(BUILD)/vireo-bench: private LIBS_OWN := -lm
$(BUILD)/vireo-bench: $(VIREO_BENCH_OBJS) $(BUILD)/internal.a
	$(LINK_PROGRAM)

# The same without a shared libc: three times the file, half the memory, and no dynamic linker between exec and main.
.PHONY: vireo-static
vireo-static: $(BUILD)/vireo-static ## the program linked statically, libc included (position-independent)
$(BUILD)/vireo-static: $(VIREO_OBJS) $(BUILD)/base.a $(BUILD)/libvireo.a
	$(call say,LD)$(LINK) -static-pie -o $@ $(filter %.o %.a,$^) $(LIBS_STATIC)
