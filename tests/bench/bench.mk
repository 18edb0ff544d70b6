# The yardstick of the benches: as little as a program can be, so it is compiled without hardening and linked with libc alone.

$(BUILD)/tests/bench/bare_kvm: tests/bench/bare_kvm.c tests/bench/bare_$(ARCH).c tests/bench/bare.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(TARGET_FLAGS) -std=gnu17 $(CFLAGS) $(WARNINGS) -o $@ $(filter %.c,$^)

.PHONY: bench-bins
bench-bins: $(BUILD)/tests/bench/bare_kvm
