# What is built for which machine, with which compiler and flags. No program but uname runs while this is read, so that `make run` can
# install what is missing first; pkg-config is asked by the first recipe that needs an answer.

HOST_ARCH := $(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(shell uname -m)))
ARCH ?= $(HOST_ARCH)
ARCHES := $(sort $(patsubst arch/%/,%,$(filter %/,$(wildcard arch/*/))))
ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error ARCH=$(ARCH) is not an architecture Vireo runs on: ARCH is one of $(ARCHES))
endif
IS_CROSS := $(if $(filter $(HOST_ARCH),$(ARCH)),,yes)

TRIPLET_x86 := x86_64-linux-gnu
TRIPLET_arm64 := aarch64-linux-gnu
TRIPLET := $(TRIPLET_$(ARCH))
CROSS_COMPILE ?= $(if $(IS_CROSS),$(TRIPLET)-)
ifeq ($(origin CC),default)
CC := $(CROSS_COMPILE)gcc
endif
LD := $(CROSS_COMPILE)ld
AR := $(CROSS_COMPILE)ar
OBJCOPY := $(CROSS_COMPILE)objcopy
NM := $(CROSS_COMPILE)nm
IS_CLANG := $(findstring clang,$(CC))
TARGET_FLAGS := $(if $(IS_CROSS),$(if $(IS_CLANG),--target=$(TRIPLET)))

SAN ?=
SAN_FLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
# gcc warns that ThreadSanitizer does not model fences. Ours order a vCPU against a signal, not two threads.
SAN_FLAGS_tsan := -fsanitize=thread -fno-omit-frame-pointer $(if $(IS_CLANG),,-Wno-tsan)
SAN_FLAGS_fuzz := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifneq ($(filter-out asan tsan fuzz,$(SAN)),)
$(error SAN=$(SAN) is not a kind of build: use SAN=asan or SAN=tsan, or none)
endif
SAN_FLAGS := $(SAN_FLAGS_$(SAN))

slash = $(if $(1),/$(1))
BUILD ?= build$(call slash,$(if $(IS_CROSS),$(ARCH)))$(call slash,$(SAN))

VERSION = $(eval VERSION := $(shell sed -n 's/.*VIREO_VERSION *"\(.*\)"/\1/p' include/vireo.h))$(VERSION)
# 0.x may change the interface between minor versions: CONTRIBUTING.md.
SOVERSION = $(basename $(VERSION))

# Asked once, and only when something is compiled or linked. libfdt has no pkg-config file on Debian 12.
PKG_CONFIG ?= pkg-config
PKGS := jansson liburing uuid
pkg = $(if $(IS_CROSS),PKG_CONFIG_LIBDIR=/usr/lib/$(TRIPLET)/pkgconfig:/usr/share/pkgconfig) $(PKG_CONFIG)
pkg_cflags = $(or $(shell $(pkg) --cflags $(PKGS) && echo ' '),$(error a library is missing: run scripts/setup $(if $(IS_CROSS),arm64,build)))
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(pkg_cflags))$(PKG_CFLAGS)

# Arm64 describes its machine by a device tree, x86 has no use for libfdt.
LIBS := jansson uring uuid $(if $(filter arm64,$(ARCH)),fdt z)
# The program takes the static library where there is one: at start it then maps and relocates nothing but libc.
static_lib = $(if $(wildcard $(shell $(CC) $(TARGET_FLAGS) -print-file-name=lib$(1).a)),-l:lib$(1).a,-l$(1))
LIBS_STATIC = $(foreach l,$(LIBS),$(call static_lib,$(l)))
LIBS_SHARED := $(LIBS:%=-l%)

CFLAGS ?= -O2 -g
WERROR ?= -Werror
# Not with a sanitizer, which checks the same calls and says more; not with -O0, where it cannot work.
HARDENING := -fstack-protector-strong $(if $(SAN)$(filter -O0,$(CFLAGS)),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
# Nothing here unwinds the stack at run time, and debuggers have .debug_frame: tables for it would be a tenth of the program.
UNWIND := $(if $(SAN),,-fno-asynchronous-unwind-tables)
WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wvla $(WERROR)
# One set of objects serves the program, the static and the shared library: hidden visibility makes -fPIC cost nothing.
BASE_CFLAGS := -std=gnu17 -D_GNU_SOURCE $(TARGET_FLAGS) $(CFLAGS) $(WARNINGS) $(HARDENING) $(UNWIND) $(SAN_FLAGS) -fPIC -fvisibility=hidden \
	-ffunction-sections -fdata-sections -pthread -I. -Iinclude
COMPILE = $(CC) $(BASE_CFLAGS) $(FOR_SIZE) $(PKG_CFLAGS) -MMD -MP
LINK = $(CC) $(TARGET_FLAGS) $(CFLAGS) $(SAN_FLAGS) -pthread -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--gc-sections -Wl,-O1 \
	-Wl,--hash-style=gnu $(LDFLAGS)
# For targets that make others: all processors, unless the user said how many.
SUBMAKE = $(MAKE) $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
# One short line a step; V=1 shows whole commands.
Q := $(if $(V),,@)
say = $(if $(V),,@printf '  %-5s %s\n' $(1) $@;)

.PHONY: FORCE
FORCE:

# Objects depend on the command that makes them, archives on the list of what is in them: a change of CC, CFLAGS or of the tree's files
# rebuilds what it must and nothing else.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D) && echo '$(CC) $(BASE_CFLAGS)' | cmp -s - $@ || echo '$(CC) $(BASE_CFLAGS)' > $@

$(BUILD)/obj/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,CC)$(COMPILE) -c -o $@ $<

# The floors that no exit of `vireo run` passes through are built for size.
$(BUILD)/obj/vmm/watch/%.o $(BUILD)/obj/vmm/lib/%.o $(BUILD)/obj/vmm/cli/%.o $(BUILD)/obj/bench/%.o: private FOR_SIZE := $(if $(filter -O2,$(CFLAGS)),-Os)
