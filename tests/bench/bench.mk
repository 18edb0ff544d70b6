# The yardstick of the benches. Wants ARCH, BUILD, CC, CFLAGS and LDFLAGS.

$(BUILD)/bench/bare_kvm: tests/bench/bare_kvm.c tests/bench/bare_$(ARCH).c tests/bench/bare.h
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.c,$^)
