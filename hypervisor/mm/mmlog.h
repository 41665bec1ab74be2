/* SPDX-License-Identifier: MIT */
/*
 * mmlog.h - why a page-table update was refused. Debug builds only, rate-limited: the main aid
 * for guests that do not boot.
 */
#ifndef MM_MMLOG_H
#define MM_MMLOG_H

#include "domain/domain.h"
#include "mm/frame.h"

void mm_log_line(const struct domain *d, const char *fmt, ...) __printf(2, 3);
/* The same with the frame's state: MFN, owner, type and counts. */
void mm_log_frame(const struct domain *d, const char *what, uint64_t entry, const struct page *pg);

#define mm_log(d, ...) \
    do { if (SLUICE_DEBUG) mm_log_line((d), __VA_ARGS__); } while (0)
#define mm_log_page(d, what, entry, pg) \
    do { if (SLUICE_DEBUG) mm_log_frame((d), (what), (entry), (pg)); } while (0)

#endif
