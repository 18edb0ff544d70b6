# Tests. tests/unit/ROOM/test_*.c and tests/kvm/test_*.c are cmocka programs linked with every object of the library, internal names and all;
# other .c files there are helpers they share. tests/fuzz/fuzz_*.c are libFuzzer targets, tests/*/*.t shell tests that speak TAP.
# `tests/run` runs any mixture of them and prints the totals.

# Tests of one architecture carry its name (test_x86_*.c, test_arm64_*.c) and are built for that one only.
foreign_tests := $(foreach a,$(filter-out $(ARCH),$(ARCHES)),tests/unit/arch/test_$(a)_% tests/kvm/test_$(a)_%)
ALL_UNIT_SRCS := $(wildcard tests/unit/*/test_*.c)
UNIT_SRCS := $(filter-out $(foreign_tests),$(ALL_UNIT_SRCS))
KVM_SRCS := $(filter-out $(foreign_tests),$(wildcard tests/kvm/test_*.c))
FUZZ_SRCS := $(wildcard tests/fuzz/fuzz_*.c)
HELPER_SRCS := $(filter-out $(ALL_UNIT_SRCS) tests/kvm/test_% tests/fuzz/fuzz_%,$(wildcard tests/unit/*/*.c tests/kvm/*.c tests/fuzz/*.c guest/snippets/$(ARCH).c))
# The WASI runtime of translated modules, but for the program around it.
HELPER_SRCS += $(filter-out guest/wasi/start.c,$(wildcard guest/wasi/*.c))
UNIT_BINS := $(UNIT_SRCS:%.c=$(BUILD)/%)
KVM_BINS := $(KVM_SRCS:%.c=$(BUILD)/%)
HELPER_OBJS := $(HELPER_SRCS:%.c=$(BUILD)/obj/%.o)
TEST_OBJS := $(patsubst %.c,$(BUILD)/obj/%.o,$(UNIT_SRCS) $(KVM_SRCS) $(FUZZ_SRCS))
DEPS += $(TEST_OBJS:.o=.d) $(HELPER_OBJS:.o=.d)
.SECONDARY: $(TEST_OBJS)

# Archives, so that a test links what it uses.
$(BUILD)/helpers.a: $(HELPER_OBJS) $(BUILD)/objects
	@rm -f $@
	$(call say,AR)$(AR) rcsT $@ $(HELPER_OBJS)

TEST_LIBS := $(BUILD)/helpers.a $(BUILD)/internal.a
TEST_LINK_LIBS := -lcmocka $(LIBS_SHARED) -lm

# TEST_LDFLAGS: a fragment may set it for one test, e.g. -Wl,--wrap=mmap.
$(UNIT_BINS) $(KVM_BINS): $(BUILD)/tests/%: $(BUILD)/obj/tests/%.o $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call say,LD)$(LINK) -pie $(TEST_LDFLAGS) -o $@ $(filter %.o %.a,$^) $(TEST_LINK_LIBS)

.PHONY: test-bins test-unit test-kvm test-boot
test-bins: $(UNIT_BINS) $(KVM_BINS)
# Cross-built, they run under user emulation, but for those that need what it lacks (taps, io_uring, openat2, a madvise that tells): these run in the
# emulated ARM host (tests/boot/arm64_programs.t).
NOT_EMULATED := virtio/test_blk% virtio/test_tap% backend/test_disk% core/test_gmem sandbox/test_paths% sandbox/test_calls sandbox/test_files
UNIT_RUN := $(filter-out $(if $(IS_CROSS),$(addprefix $(BUILD)/tests/unit/,$(NOT_EMULATED))),$(UNIT_BINS))
test-unit: $(UNIT_BINS) ## unit tests: no KVM, no root (SAN=asan, SAN=tsan: under a sanitizer; ARCH=arm64: emulated)
	tests/run $(UNIT_RUN)
test-kvm: $(KVM_BINS) ## tests of the kernel behaviour relied on, with small guests on /dev/kvm
	tests/run $^
test-boot: all ## boot Linux in the emulated hosts
	tests/run $(wildcard tests/boot/*.t)

# ---- fuzzing: `make fuzz` is `make SAN=fuzz CC=clang fuzz-bins`, into build/fuzz
FUZZ_BINS := $(FUZZ_SRCS:tests/fuzz/%.c=$(BUILD)/%)
ifeq ($(SAN),fuzz)
.PHONY: fuzz-bins
fuzz-bins: $(FUZZ_BINS)
$(FUZZ_BINS): $(BUILD)/%: $(BUILD)/obj/tests/fuzz/%.o $(TEST_LIBS)
	$(call say,LD)$(LINK) -fsanitize=fuzzer -pie -o $@ $(filter %.o %.a,$^) $(TEST_LINK_LIBS)
$(BUILD)/fuzz_arm64_image: TEST_LINK_LIBS += -lz # brings the arm64 loader with it, on any machine
endif

.PHONY: fuzz test-fuzz
fuzz: ## the fuzz targets, into build/fuzz
	+$(SUBMAKE) SAN=fuzz CC=clang fuzz-bins
test-fuzz: fuzz ## replay every corpus, then fuzz each target for 10 s (FUZZ_SECONDS=N)
	tests/run tests/fuzz/fuzz.t

# ---- what takes longer than `make check` may: the same promises, held for longer
SOAK_ROUNDS := 20000
.PHONY: soak
soak: all fuzz ## an hour: machines started and stopped by the thousand, floods of a minute, each fuzz target for 3 minutes
	+$(SUBMAKE) $(KVM_BINS) $(UNIT_BINS)
	TEST_ROUNDS=$(SOAK_ROUNDS) SOAK_S=60 FUZZ_SECONDS=180 ATTACK_SEEDS=200 tests/run $(BUILD)/tests/kvm/test_machine $(BUILD)/tests/kvm/test_ends \
		$(BUILD)/tests/kvm/test_conformance $(BUILD)/tests/kvm/test_sandbox tests/boot/exec.t tests/boot/stall.t tests/boot/ends.t tests/boot/console.t tests/fuzz/fuzz.t

# ---- everything
SANITIZERS := asan tsan
sanitized = $(foreach s,$(SANITIZERS),$(patsubst %.c,build/$(s)/%,$(UNIT_SRCS) $(KVM_SRCS)))
cross_built = $(if $(filter x86,$(ARCH)),$(filter-out $(addprefix build/arm64/tests/unit/,arch/test_x86_% $(NOT_EMULATED)),\
	$(patsubst %.c,build/arm64/%,$(ALL_UNIT_SRCS))))
.PHONY: check
check: ## all tests: unit and KVM tests, plain and under sanitizers, fuzzing, models, Linux boots in the emulated hosts
	scripts/setup
	+$(SUBMAKE) all test-bins fuzz
	+for s in $(SANITIZERS); do $(SUBMAKE) SAN=$$s test-bins || exit; done
	+$(if $(cross_built),$(SUBMAKE) ARCH=arm64 all $(cross_built))
	tests/run $(UNIT_BINS) $(KVM_BINS) $(sanitized) $(cross_built) $(wildcard tests/lint/*.t tests/proof/*.t tests/fuzz/*.t tests/boot/*.t)
