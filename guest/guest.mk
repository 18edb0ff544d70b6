# The default guest: $(BUILD)/guest/default.bin and $(BUILD)/guest/embed.o. Wants ARCH (x86 or arm64), BUILD and CC (gcc or
# clang, for the target). Freestanding code has flags of its own: no hosted headers, no SSE or NEON state, no red zone
# (exceptions use the same stack), nothing that needs a run-time.

GUEST_OUT   := $(BUILD)/guest
GUEST_SRC   := $(wildcard guest/common/*.c guest/$(ARCH)/*.c guest/$(ARCH)/entry.S)
GUEST_OBJ   := $(patsubst guest/%,$(GUEST_OUT)/%.o,$(GUEST_SRC))
GUEST_MAX   := 24576

GUEST_FLAGS := -std=gnu17 -O2 -ffreestanding -fno-builtin -fno-pie -fno-pic -fno-stack-protector -mgeneral-regs-only \
    -fno-asynchronous-unwind-tables -fno-unwind-tables -fcf-protection=none -U_FORTIFY_SOURCE -ffunction-sections \
    -Wall -Wextra -Wconversion -Wshadow -Wvla -Werror -MMD -MP
GUEST_FLAGS_x86   := -m64 -mno-red-zone -mno-sse
GUEST_FLAGS_arm64 := -mstrict-align -mno-outline-atomics
ifneq ($(ARCH),x86)
GUEST_FLAGS := $(filter-out -fcf-protection=none,$(GUEST_FLAGS))
endif
GUEST_LINK_x86   :=
GUEST_LINK_arm64 := -Wl,--oformat=binary

$(GUEST_OUT)/%.o: guest/% guest/guest.mk
	@mkdir -p $(@D)
	$(CC) $(GUEST_FLAGS) $(GUEST_FLAGS_$(ARCH)) -c -o $@ $<

$(GUEST_OUT)/default.bin: $(GUEST_OBJ) guest/$(ARCH)/guest.ld
	$(CC) -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-z,noexecstack -Wl,-z,max-page-size=4096 -Wl,--gc-sections \
	    -Wl,-s $(GUEST_LINK_$(ARCH)) -Wl,-T,guest/$(ARCH)/guest.ld -o $@ $(GUEST_OBJ)
	@test $$(wc -c < $@) -le $(GUEST_MAX) || { echo "$@ is larger than $(GUEST_MAX) bytes" >&2; rm $@; exit 1; }

$(GUEST_OUT)/embed.o: guest/embed.S $(GUEST_OUT)/default.bin
	$(CC) -DGUEST_IMAGE='"$(GUEST_OUT)/default.bin"' -c -o $@ $<

-include $(GUEST_OBJ:.o=.d)
