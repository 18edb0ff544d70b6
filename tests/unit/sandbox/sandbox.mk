# There is no KVM: the test answers for it.
$(BUILD)/tests/unit/sandbox/test_space_reset: TEST_LDFLAGS += -Wl,--wrap=ioctl
