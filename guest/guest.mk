# The default guest: $(BUILD)/guest/default.bin and $(BUILD)/guest/embed.o. Wants ARCH (x86 or arm64), BUILD and CC (gcc or
# clang, for the target). Freestanding code has flags of its own: no hosted headers, no SSE or NEON state, no red zone
# (exceptions use the same stack), nothing that needs a run-time.

GUEST_OUT   := $(BUILD)/guest
GUEST_SRC   := $(wildcard guest/common/*.c guest/$(ARCH)/*.c guest/$(ARCH)/entry.S)
GUEST_OBJ   := $(patsubst guest/%,$(GUEST_OUT)/%.o,$(GUEST_SRC))
GUEST_MAX   := 24576

GUEST_CHECK_SIZE = @test $$(wc -c < $@) -le $(GUEST_MAX) || \
    { echo "$@ is larger than $(GUEST_MAX) bytes" >&2; rm $@; exit 1; }

GUEST_FLAGS := -std=gnu17 -O2 -ffreestanding -fno-builtin -fno-pie -fno-pic -fno-stack-protector -mgeneral-regs-only \
    -fno-asynchronous-unwind-tables -fno-unwind-tables -fcf-protection=none -U_FORTIFY_SOURCE -ffunction-sections \
    -Wall -Wextra -Wconversion -Wshadow -Wvla -Werror -MMD -MP
GUEST_FLAGS_x86   := -m64 -mno-red-zone -mno-sse
GUEST_FLAGS_arm64 := -mstrict-align -mno-outline-atomics
ifneq ($(ARCH),x86)
GUEST_FLAGS := $(filter-out -fcf-protection=none,$(GUEST_FLAGS))
endif
GUEST_LINK := -nostdlib -static -Wl,--build-id=none,-z,noexecstack,-z,max-page-size=4096,--gc-sections \
    -Wl,-T,guest/$(ARCH)/guest.ld

$(GUEST_OUT)/%.o: guest/% guest/guest.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) $(GUEST_FLAGS_$(ARCH)) -c -o $@ $<

ifeq ($(ARCH),x86)
$(GUEST_OUT)/default.bin: $(GUEST_OBJ) guest/$(ARCH)/guest.ld
	$(CC) $(GUEST_LINK) -Wl,-s -o $@ $(GUEST_OBJ)
	$(GUEST_CHECK_SIZE)
else
# Linked as a position-independent ELF, whose relocations (there must be none) the linker script can see, then flattened.
GUEST_OBJCOPY := $(shell command -v aarch64-linux-gnu-objcopy || echo objcopy)

$(GUEST_OUT)/default.elf: $(GUEST_OBJ) guest/$(ARCH)/guest.ld
	$(CC) $(GUEST_LINK) -Wl,-pie,--no-dynamic-linker -o $@ $(GUEST_OBJ)

$(GUEST_OUT)/default.bin: $(GUEST_OUT)/default.elf
	$(GUEST_OBJCOPY) -O binary -j .text -j .rodata -j .data -j .got $< $@
	$(GUEST_CHECK_SIZE)
endif

$(GUEST_OUT)/embed.o: guest/embed.S $(GUEST_OUT)/default.bin
	$(CC) -DGUEST_IMAGE='"$(GUEST_OUT)/default.bin"' -c -o $@ $<

-include $(GUEST_OBJ:.o=.d)
