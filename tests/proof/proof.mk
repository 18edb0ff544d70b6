.PHONY: prove
prove: $(BUILD)/tests/kvm/test_conformance ## search the models of the kick protocol and of the ring, and their broken variants (spin)
	scripts/setup build test
	CONFORMANCE=$< tests/run tests/proof/prove.t
