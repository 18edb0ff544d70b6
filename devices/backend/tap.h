/* A tap as a network's host side: one of its queues, with IFF_VNET_HDR. Opening changes nothing but the attachment
 * itself; offloads are off until they are set. */
#ifndef VIREO_DEVICES_BACKEND_TAP_H
#define VIREO_DEVICES_BACKEND_TAP_H

#include "devices/backend/net_backend.h"
#include "vmm/base/err.h"

/* Attach to an existing tap. Refuses: no such interface, not a tap, not ours (EPERM), in use (EBUSY). Never creates. */
int tap_open(struct net_backend **out, const char *name, struct err *e);
/* Take over an open tap fd (the caller's number is duplicated; it stays open). Refuses an fd that is no tap, or one
 * without IFF_VNET_HDR. It may live in another network namespace, whose links we don't see: it counts as up. */
int tap_open_fd(struct net_backend **out, int fd, struct err *e);

#endif
