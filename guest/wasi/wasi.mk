# The WASI runtime, which `vireo wasm` links translated modules with: a library for programs, not a part of ours, so it has no sanitizer.
WASI_OUT := $(BUILD)/wasi
WASI_SRCS := $(wildcard guest/wasi/*.c)
WASI_OBJS := $(WASI_SRCS:guest/wasi/%.c=$(WASI_OUT)/obj/%.o)
WASI_FILES := $(WASI_OUT)/libvireo_wasi.a $(WASI_OUT)/wasm-rt.h
DEPS += $(WASI_OBJS:.o=.d)

# Each frame probes its pages, as those of the module do: an exhausted stack is met at its guard page.
WASI_FLAGS := -std=gnu17 -D_GNU_SOURCE -O2 -fstack-clash-protection -fno-ident -fno-asynchronous-unwind-tables $(WARNINGS) -I. -MMD -MP
$(WASI_OUT)/obj/%.o: guest/wasi/%.c guest/wasi/wasi.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(CC) $(TARGET_FLAGS) $(WASI_FLAGS) -c -o $@ $<

$(WASI_OUT)/libvireo_wasi.a: $(WASI_OBJS)
	@rm -f $@
	$(call say,AR)$(AR) rcsD $@ $^

$(WASI_OUT)/wasm-rt.h: guest/wasi/wasm-rt.h
	@mkdir -p $(@D)
	$(call say,COPY)cp $< $@
