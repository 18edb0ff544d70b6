# Everything a reviewer should not have to look for. scripts/lint runs the steps; each can be run alone, see there.
.PHONY: lint
lint: ## compilers, layout, static analysis, floors, exported names, man pages
	scripts/setup build test lint arm64
	scripts/lint

.PHONY: check-linked
check-linked: all
	CC='$(CC) $(TARGET_FLAGS)' scripts/check-symbols linked $(BUILD) $(LIBS)
