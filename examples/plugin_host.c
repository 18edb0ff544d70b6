/* A program that has its images decoded by code it doesn't trust.
 *
 *   plugin_host DECODER IMAGE...
 *
 * The decoder (examples/decoder.c) is loaded once and frozen into a template. Each image is decoded by a call into a
 * sandbox made from it, which is reset afterwards: an image that takes the decoder over can neither touch this process
 * nor the next image. Prints the size and the mean colour of each; exit status 1 when one could not be decoded. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vireo_sandbox.h>

#define IMAGE_MAX  (8u << 20)  /* bytes of a file */
#define PIXELS_MAX (16u << 20) /* bytes of what it becomes */

static int fail(const struct vireo_error *e)
{
    fprintf(stderr, "plugin_host: %s\n", e->text);
    if (e->hint[0]) fprintf(stderr, "plugin_host: %s\n", e->hint);
    return 1;
}

/* A sandbox whose program is ready, frozen. */
static int prepare(const char *decoder, struct vireo_sandbox_template **out, struct vireo_error *e)
{
    struct vireo_sandbox_config *c = vireo_sandbox_config_create();
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_end end;
    if (!c) return -1;
    int rc = vireo_sandbox_config_set(c, "memory", "128M", e);
    if (!rc) rc = vireo_sandbox_config_set(c, "call", "true", e);
    if (!rc) rc = vireo_sandbox_create(&s, c, decoder, NULL, e);
    if (!rc) rc = vireo_sandbox_run(s, &end);
    if (!rc && end.reason != VIREO_SANDBOX_READY) {
        (void)snprintf(e->text, sizeof(e->text), "%s", end.detail);
        rc = -1;
    }
    if (!rc) rc = vireo_sandbox_template_create(out, s, e);
    vireo_sandbox_destroy(s);
    vireo_sandbox_config_destroy(c);
    return rc;
}

static size_t read_file(const char *path, void *to)
{
    FILE *f = fopen(path, "rb");
    if (!f) return 0;
    const size_t size = fread(to, 1, IMAGE_MAX, f);
    (void)fclose(f);
    return size;
}

static void describe(const char *path, const unsigned char *pixels, size_t size)
{
    uint32_t side[2];
    uint64_t sum[3] = {0};
    memcpy(side, pixels, sizeof(side));
    /* What the decoder says is believed only as far as its answer reaches. */
    const uint64_t count = (uint64_t)side[0] * side[1];
    if (count == 0 || count != (size - sizeof(side)) / 4) {
        printf("%s: the decoder contradicts itself\n", path);
        return;
    }
    for (uint64_t i = 0; i < count; i++)
        for (unsigned k = 0; k < 3; k++) sum[k] += pixels[sizeof(side) + 4 * i + k];
    printf("%s: %" PRIu32 " x %" PRIu32 ", mean colour #%02x%02x%02x\n", path, side[0], side[1],
           (unsigned)(sum[0] / count), (unsigned)(sum[1] / count), (unsigned)(sum[2] / count));
}

static int decode(struct vireo_sandbox *s, const struct vireo_sandbox_fn *fn, const char *path, void *in, void *out)
{
    struct vireo_sandbox_end end;
    const struct vireo_sandbox_call call = {.fn = *fn,
                                            .in = in,
                                            .in_size = read_file(path, in),
                                            .out = out,
                                            .out_max = PIXELS_MAX,
                                            .timeout_ns = 5000000000};
    if (call.in_size == 0) {
        printf("%s: can't be read\n", path);
        return 1;
    }
    if (vireo_sandbox_call(s, &call, &end)) {
        printf("%s: the sandbox is gone\n", path);
        return 1;
    }
    if (end.reason == VIREO_SANDBOX_RETURNED && end.value == 0 && end.size >= 8) {
        describe(path, out, end.size);
        return 0;
    }
    if (end.reason == VIREO_SANDBOX_RETURNED)
        printf("%s: %s\n", path, end.value == 1 ? "no PNG image, or a damaged one" : "too large");
    else
        printf("%s: the decoder failed: %s\n", path, end.detail);
    return 1;
}

int main(int argc, char **argv)
{
    struct vireo_sandbox_template *template = NULL;
    struct vireo_sandbox *s = NULL;
    struct vireo_sandbox_fn fn;
    struct vireo_error e = {0};
    int status = 0;
    if (argc < 3) {
        fprintf(stderr, "usage: plugin_host DECODER IMAGE...\n");
        return 2;
    }
    void *in = malloc(IMAGE_MAX), *out = malloc(PIXELS_MAX);
    if (!in || !out) return 1;
    if (prepare(argv[1], &template, &e) || vireo_sandbox_clone(&s, template, &e) ||
        vireo_sandbox_function(s, "decode", &fn, &e))
        status = fail(&e);
    for (int i = 2; s && i < argc; i++) {
        status |= decode(s, &fn, argv[i], in, out);
        if (vireo_sandbox_reset(s, &e)) return fail(&e);
    }
    vireo_sandbox_destroy(s);
    vireo_sandbox_template_destroy(template);
    free(in);
    free(out);
    return status;
}
