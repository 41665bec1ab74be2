/* SPDX-License-Identifier: MIT */
/* grant.h - grant tables, version 1. */
#ifndef GRANT_GRANT_H
#define GRANT_GRANT_H

#include "domain/domain.h"

int grant_init(struct domain *d, uint32_t max_frames, uint32_t max_maptrack_frames);
/* Unmaps what d has mapped of others, in bounded steps: 0 done, -ERESTART call again. */
int grant_release_mappings(struct domain *d);
/* A dying domain's windows go: 0 done, -ERESTART call again. */
int grant_release_windows(struct domain *d);
/* Frees the tables; nobody refers to d's grants any more. */
void grant_destroy(struct domain *d);

long do_grant_table_op(uint64_t cmd, guest_ptr_t uop, uint64_t count);

long do_sluice_flip(uint64_t cmd, guest_ptr_t arg, uint64_t count);

/* The pages of d's grant table, for L1 entries: are they mappable by d as m? */
bool grant_is_table_frame(const struct domain *d, mfn_t m);

#endif
