/* What the bare calls of create_cost need of an architecture. */
#ifndef VIREO_BENCH_CREATE_H
#define VIREO_BENCH_CREATE_H

/* rc; or the program ends with a sentence when it is below 0 (errno). */
int create_checked(int rc, const char *what);
/* After the memory, before the vCPU: its interrupt controllers. */
void create_controllers(int vm_fd);
/* The processor that a vCPU shows, and where it begins. */
void create_registers(int vm_fd, int vcpu_fd);

#endif
