# The test makes each of these calls fail in turn.
FAULTS := open ioctl fcntl mmap munmap eventfd epoll_create1 epoll_ctl timerfd_create timerfd_settime pthread_create pread sigaction \
	calloc aligned_alloc strdup
$(BUILD)/tests/kvm/test_faults: TEST_LDFLAGS := $(FAULTS:%=-Wl,--wrap=%)
