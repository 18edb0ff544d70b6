# VMs without a machine: thousands a second, and creation fails when the test says so.
$(BUILD)/tests/unit/lib/test_pool: TEST_LDFLAGS := -Wl,--wrap=machine_create -Wl,--wrap=machine_destroy
