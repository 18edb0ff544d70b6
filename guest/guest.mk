# The default guest: $(BUILD)/guest/default.bin, and $(BUILD)/guest/embed.o that carries it. Freestanding code has flags of its own: no
# hosted headers, no SSE or NEON state, no red zone (exceptions use the same stack), no run-time, no sanitizer.

GUEST_OUT := $(BUILD)/guest
GUEST_SRCS := $(wildcard guest/common/*.c guest/$(ARCH)/*.c guest/$(ARCH)/*.S)
GUEST_OBJS := $(GUEST_SRCS:guest/%=$(GUEST_OUT)/%.o)
DEPS += $(GUEST_OBJS:.o=.d)
GUEST_MAX := 24576 # bytes of the program's own size that are given to it

GUEST_FLAGS := -std=gnu17 -O2 -ffreestanding -fno-builtin -fno-pie -fno-pic -fno-stack-protector -mgeneral-regs-only \
	-fno-asynchronous-unwind-tables -fno-unwind-tables -U_FORTIFY_SOURCE -ffunction-sections $(WARNINGS) -MMD -MP
GUEST_FLAGS_x86 := -m64 -mno-red-zone -mno-sse -fcf-protection=none
GUEST_FLAGS_arm64 := -mstrict-align -mno-outline-atomics
GUEST_COMPILE = $(CC) $(TARGET_FLAGS) $(GUEST_FLAGS) $(GUEST_FLAGS_$(ARCH))
GUEST_LINK = $(CC) $(TARGET_FLAGS) -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096,--gc-sections \
	-Wl,-T,guest/$(ARCH)/guest.ld
GUEST_CHECK_SIZE = $(Q)test $$(wc -c < $@) -le $(GUEST_MAX) || { echo "$@ is larger than $(GUEST_MAX) bytes" >&2; exit 1; }

$(GUEST_OUT)/%.o: guest/% guest/guest.mk $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(GUEST_COMPILE) -c -o $@ $<

ifeq ($(ARCH),x86)
$(GUEST_OUT)/default.bin: $(GUEST_OBJS) guest/x86/guest.ld
	$(call say,LD)$(GUEST_LINK) -Wl,-s -o $@ $(GUEST_OBJS)
	$(GUEST_CHECK_SIZE)
else
# Linked as a position-independent ELF, whose relocations (there must be none) the linker script can see, then flattened.
$(GUEST_OUT)/default.elf: $(GUEST_OBJS) guest/arm64/guest.ld
	$(call say,LD)$(GUEST_LINK) -Wl,-pie,--no-dynamic-linker -o $@ $(GUEST_OBJS)

$(GUEST_OUT)/default.bin: $(GUEST_OUT)/default.elf
	$(call say,COPY)$(OBJCOPY) -O binary -j .text -j .rodata -j .data -j .got $< $@
	$(GUEST_CHECK_SIZE)
endif

$(GUEST_OUT)/embed.o: guest/embed.S $(GUEST_OUT)/default.bin
	$(call say,CC)$(CC) $(TARGET_FLAGS) -DGUEST_IMAGE='"$(GUEST_OUT)/default.bin"' -c -o $@ $<
