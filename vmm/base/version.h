/* This version, for floors that do not see include/vireo.h; vmm/lib/config.c holds the two together. */
#ifndef VIREO_BASE_VERSION_H
#define VIREO_BASE_VERSION_H

#define BUILD_VERSION "0.2.0"

#endif
