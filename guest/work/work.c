/* The program in the sandboxes of `vireo bench sandbox`: a static ELF without a C library, so that what is measured is
 * the sandbox and not a library's start. The same file is run natively beside it.
 *
 *   work                 ready for calls of the functions below
 *   work hello           says so, and ends
 *   work sha256 N        hashes N MiB of zeros, says the digest, and ends */
#include <stddef.h>
#include <stdint.h>

#define SHOWN __attribute__((used, noinline, visibility("default")))

#define GUEST_CALL  0x76720002L /* include/vireo_sandbox_guest.h */
#define GUEST_READY 0
#define GUEST_HOST  2

#if defined(__x86_64__)
#define NR_WRITE 1
#define NR_EXIT  231
static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
__asm__(".globl _start\n_start: xor %ebp, %ebp\n mov %rsp, %rdi\n and $-16, %rsp\n call begin\n");
#else
#define NR_WRITE 64
#define NR_EXIT  94
static long call(long number, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
    return x0;
}
__asm__(".globl _start\n_start: mov x29, xzr\n mov x0, sp\n bl begin\n");
#endif

/* Compilers call it for what is copied whole. */
__attribute__((used)) void *memcpy(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++) ((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
    return to;
}

/* ---- called ---- */

SHOWN int64_t nothing(void)
{
    return 0;
}

/* Bytes come, and as many go: what stands there. */
SHOWN int64_t take(const void *in, size_t in_size, void *out, size_t *out_size)
{
    (void)in, (void)in_size, (void)out, (void)out_size;
    return 0;
}

static uint8_t pages[4096][4096];
SHOWN int64_t write_pages(uint64_t n)
{
    for (uint64_t i = 0; i < n && i < 4096; i++) *(volatile uint8_t *)&pages[i][0] += 1;
    return 0;
}

SHOWN int64_t ask_host(void)
{
    return call(GUEST_CALL, GUEST_HOST, 0, 0, 0, 0, 0);
}

/* ---- SHA-256 (FIPS 180-4, 6.2) ---- */

static const uint32_t round_constant[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t turn(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

static uint32_t big(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void hash_block(uint32_t state[8], const uint8_t block[64])
{
    uint32_t w[64], s[8];
    for (unsigned i = 0; i < 16; i++) w[i] = big(block + 4 * i);
    for (unsigned i = 16; i < 64; i++)
        w[i] = (turn(w[i - 2], 17) ^ turn(w[i - 2], 19) ^ w[i - 2] >> 10) + w[i - 7] +
               (turn(w[i - 15], 7) ^ turn(w[i - 15], 18) ^ w[i - 15] >> 3) + w[i - 16];
    for (unsigned i = 0; i < 8; i++) s[i] = state[i];
    for (unsigned i = 0; i < 64; i++) {
        const uint32_t a = s[0], e = s[4];
        const uint32_t t1 =
            s[7] + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & s[5]) ^ (~e & s[6])) + round_constant[i] + w[i];
        const uint32_t t2 = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & s[1]) ^ (a & s[2]) ^ (s[1] & s[2]));
        for (unsigned k = 7; k > 0; k--) s[k] = s[k - 1];
        s[4] += t1;
        s[0] = t1 + t2;
    }
    for (unsigned i = 0; i < 8; i++) state[i] += s[i];
}

static void hash_zeros(uint64_t bytes, char text[65])
{
    static uint8_t zeros[64];
    uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    uint8_t last[64];
    for (uint64_t i = 0; i < bytes / 64; i++) hash_block(state, zeros);
    for (unsigned i = 0; i < 64; i++) last[i] = 0;
    last[0] = 0x80;
    for (unsigned i = 0; i < 8; i++) last[56 + i] = (uint8_t)(bytes * 8 >> (56 - 8 * i));
    hash_block(state, last);
    for (unsigned i = 0; i < 64; i++) text[i] = "0123456789abcdef"[state[i / 8] >> (28 - 4 * (i % 8)) & 15];
    text[64] = '\n';
}

/* ---- run ---- */

static _Noreturn void end(int status)
{
    for (;;) (void)call(NR_EXIT, status, 0, 0, 0, 0, 0);
}

static uint64_t number(const char *text)
{
    uint64_t n = 0;
    for (; *text >= '0' && *text <= '9'; text++) n = n * 10 + (uint64_t)(*text - '0');
    return n;
}

/* The stack as the kernel leaves it: argc, argv, ... (System V ABI, 3.4.1). */
__attribute__((used)) _Noreturn void begin(const long *stack)
{
    static const char hello[] = "hello\n";
    const char *const *argv = (const char *const *)(stack + 1);
    char text[65];
    if (stack[0] > 1 && argv[1][0] == 'h')
        end(call(NR_WRITE, 1, (long)(uintptr_t)hello, sizeof(hello) - 1, 0, 0, 0) == sizeof(hello) - 1 ? 0 : 1);
    if (stack[0] > 2 && argv[1][0] == 's') {
        hash_zeros(number(argv[2]) << 20, text);
        end(call(NR_WRITE, 1, (long)(uintptr_t)text, sizeof(text), 0, 0, 0) == sizeof(text) ? 0 : 1);
    }
    (void)call(GUEST_CALL, GUEST_READY, 0, 0, 0, 0, 0);
    end(2); /* nobody calls: no sandbox */
}
