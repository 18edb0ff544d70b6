.PHONY: prove
prove: ## search the models of the kick protocol and of the ring, and their broken variants (spin)
	scripts/setup build test
	+$(SUBMAKE) $(BUILD)/tests/kvm/test_conformance
	CONFORMANCE=$(BUILD)/tests/kvm/test_conformance tests/run tests/proof/prove.t
