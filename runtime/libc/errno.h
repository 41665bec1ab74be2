/* SPDX-License-Identifier: MIT */
/* errno.h - for third-party code in dom0: error numbers; nothing sets a global one. */
#ifndef LIBC_ERRNO_H
#define LIBC_ERRNO_H

#include "xenabi.h"

#define EPERM  XEN_EPERM
#define ENOENT XEN_ENOENT
#define EIO    XEN_EIO
#define ENOMEM XEN_ENOMEM
#define EACCES XEN_EACCES
#define EFAULT XEN_EFAULT
#define EBUSY  XEN_EBUSY
#define EEXIST XEN_EEXIST
#define EINVAL XEN_EINVAL
#define ENOSPC XEN_ENOSPC
#define ERANGE 34

#endif
