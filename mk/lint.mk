# Everything a reviewer should not have to look for. scripts/lint prints one line a step and stops at the first that fails.
.PHONY: lint
lint: ## compilers, layout, static analysis, floors, exported names, man pages
	scripts/setup build test lint arm64
	scripts/lint

