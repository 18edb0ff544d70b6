# The kernel has no memory for a batch, or no thread, when the test says so.
$(BUILD)/tests/unit/backend/test_disk_faults: TEST_LDFLAGS := -Wl,--wrap=io_uring_submit -Wl,--wrap=pthread_create
