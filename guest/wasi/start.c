/* The program that a module becomes: it makes the module's one instance, runs it as a command or sets it up as a
 * reactor (WASI application ABI), and shows its memory to whoever calls its functions from outside. */
#include <stdlib.h>
#include <unistd.h>

#include "guest/wasi/module.h"
#include "guest/wasi/wasi.h"

#define PREOPEN "VIREO_PREOPEN="

static struct wasi state;

/* The list's value, taken out of what the module sees. */
static const char *take_preopens(char **envp)
{
    const char *found = NULL;
    char **to = envp;
    for (char **at = envp; *at; at++) {
        if (strncmp(*at, PREOPEN, strlen(PREOPEN)) == 0)
            found = *at + strlen(PREOPEN);
        else
            *to++ = *at;
    }
    *to = NULL;
    return found;
}

static const char *base_name(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path;
}

uint8_t *vireo_wasm_memory(void)
{
    return state.memory ? state.memory->data : NULL;
}

uint64_t vireo_wasm_memory_size(void)
{
    return state.memory ? state.memory->size : 0;
}

int main(int argc, char **argv)
{
    (void)argc;
    trap_init(base_name(argv[0]));
    const char *preopens = take_preopens(environ);
    wasi_init(&state, argv, environ, preopens);
    state.memory = vireo_module_memory();
    vireo_module_instantiate(&state);
    vireo_module_begin();
    return 0;
}
