# The test fails each strdup and calloc in turn.
$(BUILD)/tests/unit/config/test_config_memory: TEST_LDFLAGS := -Wl,--wrap=strdup -Wl,--wrap=calloc
