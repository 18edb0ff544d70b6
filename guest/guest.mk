# The guests inside the programs: each folder of guest/ with a main.c is one, $(BUILD)/guest/NAME.bin, linked with what all share
# (guest/common, guest/$(ARCH)); in its folder, files whose names begin with an architecture's are for that one. $(BUILD)/guest/embed-NAME.o
# carries it. Freestanding code has flags of its own: no hosted headers, no SSE or NEON state, no red zone (exceptions use the same stack),
# no run-time, no sanitizer.

GUEST_OUT := $(BUILD)/guest
guest_objs = $(patsubst guest/%,$(GUEST_OUT)/%.o,$(filter-out $(foreach a,$(filter-out $(ARCH),$(ARCHES)),guest/$(1)/$(a)%),\
	$(wildcard guest/$(1)/*.c guest/$(1)/*.S)))
GUEST_SHARED := $(call guest_objs,common) $(call guest_objs,$(ARCH))
DEPS += $(patsubst %.o,%.d,$(GUEST_SHARED) $(foreach p,$(GUESTS),$(call guest_objs,$(p))))
GUEST_MAX := 24576 # bytes of the program's own size that are given to it

GUEST_FLAGS := -std=gnu17 -O2 -ffreestanding -fno-builtin -fno-pie -fno-pic -fno-stack-protector -mgeneral-regs-only \
	-fno-asynchronous-unwind-tables -fno-unwind-tables -U_FORTIFY_SOURCE -ffunction-sections -iquote guest/$(ARCH) $(WARNINGS) -MMD -MP
GUEST_FLAGS_x86 := -m64 -mno-red-zone -mno-sse -fcf-protection=none
GUEST_FLAGS_arm64 := -mstrict-align -mno-outline-atomics
GUEST_COMPILE = $(CC) $(TARGET_FLAGS) $(GUEST_FLAGS) $(GUEST_FLAGS_$(ARCH))
GUEST_LINK = $(CC) $(TARGET_FLAGS) -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096,--gc-sections \
	-Wl,-T,guest/$(ARCH)/guest.ld
GUEST_CHECK_SIZE = $(Q)test $$(wc -c < $@) -le $(GUEST_MAX) || { echo "$@ is larger than $(GUEST_MAX) bytes" >&2; exit 1; }

$(GUEST_OUT)/%.o: guest/% guest/guest.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(GUEST_COMPILE) -c -o $@ $<

# Arm64: linked as a position-independent ELF, whose relocations stay in it for the entry code, then flattened.
define guest_rules
ifeq ($(ARCH),x86)
$(GUEST_OUT)/$(1).bin: $(call guest_objs,$(1)) $(GUEST_SHARED) guest/x86/guest.ld
	$$(call say,LD)$$(GUEST_LINK) -Wl,-s -o $$@ $$(filter %.o,$$^)
	$$(GUEST_CHECK_SIZE)
else
$(GUEST_OUT)/$(1).elf: $(call guest_objs,$(1)) $(GUEST_SHARED) guest/arm64/guest.ld
	$$(call say,LD)$$(GUEST_LINK) -Wl,-pie,--no-dynamic-linker -o $$@ $$(filter %.o,$$^)

$(GUEST_OUT)/$(1).bin: $(GUEST_OUT)/$(1).elf
	$$(call say,COPY)$$(OBJCOPY) -O binary -j .text -j .rodata -j .data -j .rela.dyn -j .got $$< $$@
	$$(GUEST_CHECK_SIZE)
endif

$(GUEST_OUT)/embed-$(1).o: guest/embed.S $(GUEST_OUT)/$(1).bin
	$$(call say,CC)$$(CC) $$(TARGET_FLAGS) -DGUEST_START=guest_$(1)_start -DGUEST_END=guest_$(1)_end -DGUEST_IMAGE='"$(GUEST_OUT)/$(1).bin"' -c -o $$@ $$<
endef
$(foreach p,$(GUESTS),$(eval $(call guest_rules,$(p))))

# A Linux program for sandboxes, static and without a C library. It runs natively, too.
$(GUEST_OUT)/work.elf: guest/work/work.c guest/guest.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(GUEST_COMPILE) $(if $(IS_CLANG),,-fno-tree-loop-distribute-patterns) -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096 -o $@ $<

$(GUEST_OUT)/embed-work.o: guest/embed.S $(GUEST_OUT)/work.elf
	$(call say,CC)$(CC) $(TARGET_FLAGS) -DGUEST_START=guest_work_start -DGUEST_END=guest_work_end -DGUEST_IMAGE='"$(GUEST_OUT)/work.elf"' -c -o $@ $<
