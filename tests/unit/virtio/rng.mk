$(BUILD)/tests/unit/test_rng: TEST_LDFLAGS := -Wl,--wrap=getrandom
