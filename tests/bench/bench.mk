# The benches: `make bench`, or one of its figures. They print figures and judge nothing; docs/performance.md says what the figures mean and what
# they were. What runs the measured programs must not colour them: compare is linked statically, since a child's peak memory starts from
# its parent's; the yardstick, as little as a program can be, is compiled without hardening and linked with libc alone.

BENCH_OUT := $(BUILD)/tests/bench
BENCH_CC = $(CC) $(TARGET_FLAGS) -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS)
BENCH_BINS := $(BENCH_OUT)/bare_kvm $(BENCH_OUT)/compare $(BENCH_OUT)/meter $(BENCH_OUT)/record_cost \
	$(BENCH_OUT)/create_cost $(BENCH_OUT)/sandbox_cost $(BENCH_OUT)/trust \
	$(if $(filter x86,$(ARCH)),$(BENCH_OUT)/bare_row $(BENCH_OUT)/first $(BENCH_OUT)/first-16m $(BENCH_OUT)/hammer)

$(BENCH_OUT)/bare_kvm: tests/bench/bare_kvm.c tests/bench/bare_$(ARCH).c tests/bench/bare.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -o $@ $(filter %.c,$^)

$(BENCH_OUT)/bare_row: tests/bench/bare_row.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -o $@ $(filter %.c,$^)

$(BENCH_OUT)/compare: tests/bench/compare.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -static -o $@ $(filter %.c,$^)

# Runs in the guest and in the host alike.
$(BENCH_OUT)/meter: tests/bench/meter.c tests/bench/meter_disk.c tests/bench/meter_net.c tests/bench/meter.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -I. -static -o $@ $(filter %.c,$^)

# The recorder of the product, behind a run loop of its own.
$(BENCH_OUT)/record_cost: tests/bench/record_cost.c $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -I. -Iinclude -pthread -o $@ $< $(TEST_LIBS) $(TEST_LINK_LIBS)

# The laboratory's judges, on records made up and real.
$(BENCH_OUT)/trust: tests/bench/trust.c tests/unit/bench/noise_rig.h $(TEST_LIBS)
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -I. -Iinclude -pthread -o $@ $< $(TEST_LIBS) $(TEST_LINK_LIBS)

# The product's library, as an embedder links it.
$(BENCH_OUT)/create_cost: tests/bench/create_cost.c tests/bench/create_$(ARCH).c tests/bench/create.h $(BUILD)/libvireo.a
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -Iinclude -pthread -o $@ $(filter %.c %.a,$^) $(LIBS_SHARED)

$(BENCH_OUT)/sandbox_cost: tests/bench/sandbox_cost.c $(BUILD)/libvireo.a $(BUILD)/tests/kvm/inside
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -Iinclude -pthread -o $@ $(filter %.c %.a,$^) $(LIBS_SHARED)

# Linked where a kernel would be, one page up so that the ELF header has a place of its own.
$(BENCH_OUT)/first $(BENCH_OUT)/hammer: $(BENCH_OUT)/%: tests/bench/%_x86.S $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(TARGET_FLAGS) -nostdlib -static -no-pie -Wl,--build-id=none,-z,noseparate-code,-Ttext=0x101000,-s -o $@ $<

# The same at 16 MiB, where kernels lie: memory of its own, above the first 2 MiB that have small pages in any case.
$(BENCH_OUT)/first-16m: tests/bench/first_x86.S $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(TARGET_FLAGS) -nostdlib -static -no-pie -Wl,--build-id=none,-z,noseparate-code,-Ttext=0x1001000,-s -o $@ $<

# What runs in a sandbox and natively. Some of it needs packages of the group `test`, so it is not among what everybody builds.
SANDBOX_WORK := $(addprefix $(BENCH_OUT)/sandbox/,hello hello.wasm sha256 database)

$(BENCH_OUT)/sandbox/%.wasm: tests/bench/sandbox/%.c
	@mkdir -p $(@D)
	$(call say,WASM)clang --target=wasm32-wasi -O2 -o $@ $<

# SQLite can load extensions, of which the linker warns in a static program.
$(BENCH_OUT)/sandbox/database: tests/bench/sandbox/database.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -static -o $@ $< -lsqlite3 -lm -Wl,--no-warnings

$(BENCH_OUT)/sandbox/%: tests/bench/sandbox/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(BENCH_CC) -static -o $@ $<

.PHONY: bench-sandbox-work
bench-sandbox-work: $(SANDBOX_WORK)

.PHONY: bench-bins
bench-bins: $(BENCH_BINS)

BENCHES := size start create sandbox exits stat trust boot idle block net
.PHONY: bench $(BENCHES:%=bench-%)
# Exits are measured in an emulated ARM host too.
for_arm64_host = $(if $(filter x86,$(ARCH)),scripts/setup arm64 && $(SUBMAKE) ARCH=arm64 all)
for_sandbox = scripts/setup build test && $(SUBMAKE) bench-sandbox-work
bench: all bench-bins ## all figures of docs/performance.md: about 55 minutes
	scripts/images
	+$(for_arm64_host)
	+$(for_sandbox)
	scripts/bench $(BENCHES)
$(BENCHES:%=bench-%): bench-%: all bench-bins ## one of them: bench-size, bench-start, bench-create, bench-sandbox, bench-exits, bench-stat, bench-trust, bench-boot, bench-idle, bench-block, bench-net
	$(if $(filter-out size start create sandbox exits stat trust,$*),scripts/images)
	+$(if $(filter exits,$*),$(for_arm64_host))
	+$(if $(filter sandbox,$*),$(for_sandbox))
	scripts/bench $*
