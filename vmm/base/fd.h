/* Descriptors of our own stay out of the way of the standard ones.
 *
 * A process may run with 0, 1 or 2 closed. The next descriptor that anybody makes is then one of them, and what is
 * meant for standard output lands in it: in an eventfd that is a doorbell, in a disk. So whatever makes a descriptor
 * passes it through fd_own() at once; scripts/check-floors looks for those that don't. Streams and directories that are
 * only read (fopen with "re", opendir) are left out: nothing can be written to them. Any thread. */
#ifndef VIREO_BASE_FD_H
#define VIREO_BASE_FD_H

/* fd itself, when it is above 2 or a failure (< 0). Else the same file under a number above 2, close-on-exec, and fd is
 * closed. -1 with errno when no number is left. */
int fd_own(int fd);

#endif
