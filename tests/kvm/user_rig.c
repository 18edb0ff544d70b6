#include "tests/kvm/user_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "arch/arch.h"

#define MEMORY (4ull << 20)
#define PAGE   4096ull

static uint64_t take_page(struct user_rig *r)
{
    const uint64_t page = r->next;
    r->next += PAGE;
    assert_true(r->next <= MEMORY);
    return page;
}

static uint64_t *entry_of(struct user_rig *r, uint64_t va, bool makes)
{
    uint64_t table = r->root;
    for (unsigned level = USER_TABLE_LEVELS; level-- > 1;) {
        uint64_t *entry = (uint64_t *)(void *)(r->memory + table) + (va >> (12 + 9 * level) & 511);
        if (!user_entry_is_present(*entry)) {
            if (!makes) return NULL;
            *entry = user_table_entry(take_page(r));
        }
        table = user_entry_gpa(*entry);
    }
    return (uint64_t *)(void *)(r->memory + table) + (va >> 12 & 511);
}

void user_rig_map(struct user_rig *r, uint64_t va, uint64_t gpa, unsigned prot)
{
    *entry_of(r, va, true) = user_page_entry(gpa, prot);
}

uint8_t *user_rig_at(struct user_rig *r, uint64_t va)
{
    const uint64_t *entry = entry_of(r, va, false);
    return entry && user_entry_is_present(*entry) ? r->memory + user_entry_gpa(*entry) + va % PAGE : NULL;
}

static int copy(struct user_rig *r, uint64_t va, void *buf, uint64_t len, bool is_write)
{
    for (uint64_t i = 0; i < len; i++) {
        uint8_t *at = va + i < USER_END ? user_rig_at(r, va + i) : NULL;
        if (!at) return -EFAULT;
        if (is_write)
            *at = ((uint8_t *)buf)[i];
        else
            ((uint8_t *)buf)[i] = *at;
    }
    return 0;
}

static int read_mem(void *arg, uint64_t va, void *buf, uint64_t len)
{
    return copy(arg, va, buf, len, false);
}

static int write_mem(void *arg, uint64_t va, const void *buf, uint64_t len)
{
    return copy(arg, va, (void *)(uintptr_t)buf, len, true);
}

struct user_mem user_rig_mem(struct user_rig *r)
{
    return (struct user_mem){.read = read_mem, .write = write_mem, .arg = r};
}

static void must(int rc, const struct err *e)
{
    if (rc) print_error("%s\n", e->text);
    assert_int_equal(rc, 0);
}

void user_rig_open(struct user_rig *r, const void *code, size_t size)
{
    struct err e = {0};
    unsigned long type = 0;
    *r = (struct user_rig){.vm = VM_INIT};
    r->memory = mmap(NULL, MEMORY, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    r->kernel = mmap(NULL, user_kernel_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(r->memory != MAP_FAILED && r->kernel != MAP_FAILED);
    must(kvm_open(&r->vm.kvm_fd, &e), &e);
    must(arch_vm_type(r->vm.kvm_fd, USER_KERNEL_GPA + USER_KERNEL_MAX, &type, &e), &e);
    must(vm_create_typed(&r->vm, type, &e), &e);
    must(vm_check_caps(&r->vm, user_caps, &e), &e);
    must(vm_map_ram(&r->vm, 0, MEMORY, r->memory, false, &e), &e);
    must(vm_map_ram(&r->vm, USER_KERNEL_GPA, user_kernel_size(), r->kernel, false, &e), &e);
    r->root = take_page(r);
    for (uint64_t at = 0; at < user_kernel_size(); at += PAGE)
        *entry_of(r, USER_KERNEL_VA + at, true) = user_kernel_entry(USER_KERNEL_GPA + at, USER_KERNEL_VA + at);
    user_rig_map(r, RIG_CODE, take_page(r), USER_READ | USER_EXEC);
    for (unsigned i = 0; i < RIG_DATA_PAGES; i++)
        user_rig_map(r, RIG_DATA + i * PAGE, take_page(r), USER_READ | USER_WRITE);
    for (unsigned i = 1; i <= RIG_STACK_PAGES; i++)
        user_rig_map(r, RIG_STACK - i * PAGE, take_page(r), USER_READ | USER_WRITE);
    assert_true(size <= PAGE);
    memcpy(user_rig_at(r, RIG_CODE), code, size);
    const struct user_params p = {.vm = &r->vm, .kernel = r->kernel, .root_gpa = r->root};
    must(user_create(&r->user, &p, &e), &e);
    assert_int_equal(user_begin(r->user, RIG_CODE, RIG_STACK), 0);
}

void user_rig_close(struct user_rig *r)
{
    user_destroy(r->user);
    vm_destroy(&r->vm);
    (void)munmap(r->memory, MEMORY);
    (void)munmap(r->kernel, user_kernel_size());
}

enum user_event user_rig_run(struct user_rig *r)
{
    struct err e = {0};
    for (;;) {
        const enum user_event event = user_run(r->user, &e);
        if (event == USER_BROKEN) print_error("%s\n", e.text);
        assert_int_not_equal(event, USER_BROKEN);
        if (event != USER_KICKED && event != USER_RING_FULL) return event;
    }
}
