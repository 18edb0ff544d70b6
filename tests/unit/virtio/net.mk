# Reads of the tap that fail.
$(BUILD)/tests/unit/test_net: TEST_LDFLAGS := -Wl,--wrap=readv
