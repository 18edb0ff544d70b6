# Vireo. `make help` lists what can be made; each piece lives in a fragment under mk/, guest/ or tests/.
#
# A source file is found by its folder: adding one needs no edit here. Variables a user may set: ARCH (x86, arm64), CC, CFLAGS, LDFLAGS,
# SAN (asan, tsan: a build of its own beside the plain one), BUILD (another output folder), WERROR= (drop -Werror), PREFIX, DESTDIR.

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

include mk/config.mk
include mk/library.mk
include mk/tests.mk
include mk/install.mk
include mk/lint.mk
include $(wildcard mk/images.mk guest/guest.mk guest/wasi/wasi.mk examples/examples.mk tests/*/*.mk tests/unit/*/*.mk)

.PHONY: all
all: $(PROGRAMS:%=$(BUILD)/%) $(BUILD)/libvireo.a $(BUILD)/libvireo.so $(WASI_FILES) ## the programs and the libraries (ARCH=arm64 cross-builds into build/arm64)

.PHONY: run
run: ## from a fresh clone to a guest's shell: install packages, build, make images, boot Linux (ARCH=arm64 too)
	scripts/setup build$(if $(IS_CROSS), $(ARCH))
	+$(SUBMAKE) all
	ARCH=$(ARCH) scripts/images
	ARCH=$(ARCH) BUILD=$(BUILD) scripts/demo

.PHONY: clean
clean: ## remove what was built; downloaded packages stay
	find build -mindepth 1 -maxdepth 1 ! -name debs -exec rm -rf {} +

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(sort $(MAKEFILE_LIST))

-include $(DEPS)
