/* The FP and SIMD registers of a sandbox's vCPU. */
#ifndef VIREO_ARM64_USER_FP_H
#define VIREO_ARM64_USER_FP_H

#include "arch/arm64/struct_user.h"

struct user_fp {
    uint32_t fpsr, fpcr;
    struct {
        uint64_t low, high;
    } v[32];
};

/* 0 or -errno. */
int user_get_fp(const struct user *u, struct user_fp *fp);
int user_set_fp(const struct user *u, const struct user_fp *fp);

#endif
