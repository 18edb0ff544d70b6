# The test makes each of these calls fail in turn.
FAULTS := open ioctl fcntl mmap munmap eventfd epoll_create1 epoll_ctl timerfd_create pthread_create pread sigaction \
	calloc aligned_alloc strdup
$(BUILD)/tests/kvm/test_faults: TEST_LDFLAGS := $(FAULTS:%=-Wl,--wrap=%)
# The disks of this test have the worker thread, whatever the kernel offers.
$(BUILD)/tests/kvm/test_sched: TEST_LDFLAGS := -Wl,--wrap=disk_open
SCHED_FAULTS := sched_setaffinity sched_getaffinity setpriority mkdirat openat fstatfs syscall prctl
$(BUILD)/tests/kvm/test_sched_faults: TEST_LDFLAGS := $(SCHED_FAULTS:%=-Wl,--wrap=%)
# The test holds a thread back, and lets KVM_RUN be refused.
$(BUILD)/tests/kvm/test_ends: TEST_LDFLAGS := -Wl,--wrap=pthread_create -Wl,--wrap=ioctl \
	-Wl,--wrap=pthread_kill -Wl,--wrap=tgkill
$(BUILD)/tests/kvm/test_x86_supported: TEST_LDFLAGS := -Wl,--wrap=ioctl
# The program in the sandboxes: plain, whatever the test is built with.
SANDBOX_INSIDE := $(BUILD)/tests/kvm/inside
$(SANDBOX_INSIDE): tests/kvm/sandbox/inside.c include/vireo_sandbox_guest.h $(BUILD)/flags
	@mkdir -p $(@D)
	$(call say,LD)$(CC) $(TARGET_FLAGS) -std=gnu17 -D_GNU_SOURCE -O1 $(WARNINGS) -Iinclude -static -o $@ $<
$(BUILD)/obj/tests/kvm/test_sandbox.o $(BUILD)/obj/tests/kvm/test_sandbox_ends.o: private BASE_CFLAGS += -DINSIDE='"$(SANDBOX_INSIDE)"'
$(BUILD)/tests/kvm/test_sandbox $(BUILD)/tests/kvm/test_sandbox_ends: $(SANDBOX_INSIDE)
# The program that makes programs of the test's modules.
$(BUILD)/obj/tests/kvm/test_wasm.o: private BASE_CFLAGS += -DVIREO='"$(BUILD)/vireo"'
$(BUILD)/tests/kvm/test_wasm: | $(BUILD)/vireo $(WASI_FILES)
