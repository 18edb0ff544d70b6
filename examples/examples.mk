# Programs that people start from. The hosts are linked with the library as an embedder links it; the guests are ordinary static programs.

EXAMPLES_OUT := $(BUILD)/examples
EXAMPLE_BINS := $(addprefix $(EXAMPLES_OUT)/,plugin_host server decoder handler)
EXAMPLE_CC = $(CC) $(TARGET_FLAGS) -std=gnu17 -D_GNU_SOURCE $(CFLAGS) $(WARNINGS)

$(EXAMPLES_OUT)/plugin_host $(EXAMPLES_OUT)/server: $(EXAMPLES_OUT)/%: examples/%.c $(BUILD)/libvireo.a $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(EXAMPLE_CC) -Iinclude -pthread -o $@ $(filter %.c %.a,$^) $(LIBS_SHARED)

$(EXAMPLES_OUT)/decoder: private EXAMPLE_LIBS := -lpng -lz -lm
$(EXAMPLES_OUT)/decoder $(EXAMPLES_OUT)/handler: $(EXAMPLES_OUT)/%: examples/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(EXAMPLE_CC) -static -o $@ $(filter %.c,$^) $(EXAMPLE_LIBS)

.PHONY: examples
examples: $(EXAMPLE_BINS) $(BUILD)/libvireo.so ## the programs under examples/
