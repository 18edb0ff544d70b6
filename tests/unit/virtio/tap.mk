# Frames that the kernel does not take or give.
$(BUILD)/tests/unit/virtio/test_tap: TEST_LDFLAGS := -Wl,--wrap=readv,--wrap=writev
