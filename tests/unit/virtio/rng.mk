$(BUILD)/tests/unit/virtio/test_rng: TEST_LDFLAGS := -Wl,--wrap=getrandom
