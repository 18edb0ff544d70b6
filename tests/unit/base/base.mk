# Tests that make the host fail: calls of the named function go to __wrap_NAME in the test.
$(BUILD)/tests/unit/core/test_gmem: TEST_LDFLAGS += -Wl,--wrap=mmap -Wl,--wrap=groups_huge_left
# The test counts them.
$(BUILD)/tests/unit/base/test_loop_timer: TEST_LDFLAGS += -Wl,--wrap=timerfd_settime
