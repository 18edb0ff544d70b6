# Reads of the tap that fail.
$(BUILD)/tests/unit/virtio/test_net: TEST_LDFLAGS := -Wl,--wrap=readv
