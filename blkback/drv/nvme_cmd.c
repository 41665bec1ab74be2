/* SPDX-License-Identifier: MIT */
/* nvme_cmd.c - building NVMe commands, reading what Identify says. Pure. */
#include "blkback/drv/nvme_cmd.h"
#include "lib/string.h"
#include "unaligned.h"

#define CTRL_SERIAL 4
#define CTRL_MODEL  24
#define CTRL_MDTS   77
#define CTRL_NN     516
#define CTRL_ONCS   520
#define CTRL_VWC    525
#define ONCS_DSM    4u
#define ONCS_ZEROES 8u

#define NS_SIZE     0
#define NS_FLBAS    26
#define NS_ATTR     99
#define NS_FORMATS  128
#define ATTR_PROTECTED 1u

_Static_assert(sizeof(struct nvme_cmd) == 64 && sizeof(struct nvme_cpl) == 16, "NVMe layouts");

const char *nvme_parse_cap(struct nvme_caps *c, uint64_t cap)
{
    c->entries_max = (uint32_t)(cap & 0xffff) + 1;
    c->timeout_ms = MAX((uint32_t)(cap >> 24 & 0xff), 1u) * 500;
    c->bell_stride = 4u << (cap >> 32 & 15);
    if (cap == ~0UL)
        return "it does not answer";
    if (!(cap >> 37 & 1))
        return "it does not know the NVM command set";
    if (cap >> 48 & 15)
        return "its pages are larger than 4 KiB";
    if (c->entries_max < 2)
        return "its queues have one entry";
    return NULL;
}

/* Padded with blanks on the wire. */
static void text(char *to, const uint8_t *from, size_t n)
{
    while (n && from[n - 1] <= ' ')
        n--;
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] >= ' ' && from[i] < 0x7f ? (char)from[i] : '?';
    to[n] = '\0';
}

void nvme_parse_ctrl(struct nvme_ctrl_info *c, const uint8_t *id)
{
    uint8_t mdts = id[CTRL_MDTS];
    uint16_t oncs = get16(id + CTRL_ONCS);

    text(c->serial, id + CTRL_SERIAL, 20);
    text(c->model, id + CTRL_MODEL, 40);
    c->bytes_max = mdts && mdts < 18 ? PAGE_SIZE << mdts : 1u << 30;
    c->nr_ns = get32(id + CTRL_NN);
    c->write_cache = id[CTRL_VWC] & 1;
    c->dsm = oncs & ONCS_DSM;
    c->write_zeroes = oncs & ONCS_ZEROES;
}

const char *nvme_parse_ns(struct nvme_ns_info *ns, const uint8_t *id)
{
    uint8_t flbas = id[NS_FLBAS];
    unsigned int format = (flbas & 15u) | (flbas >> 5 & 3u) << 4;
    const uint8_t *f = id + NS_FORMATS + format * 4;

    memcpy(&ns->blocks, id + NS_SIZE, sizeof(ns->blocks));
    ns->block_shift = f[2];
    ns->readonly = id[NS_ATTR] & ATTR_PROTECTED;
    if (!ns->blocks)
        return "it is empty";
    if (get16(f))
        return "its blocks carry metadata";
    if (ns->block_shift != 9 && ns->block_shift != 12)
        return "its blocks are neither 512 nor 4096 bytes";
    if (ns->blocks > 1UL << 50)
        return "its size is impossible";
    return NULL;
}

static uint32_t offset(paddr_t at)
{
    return (uint32_t)(at & (PAGE_SIZE - 1));
}

uint32_t nvme_fit(const struct nvme_piece *p, uint32_t n, uint32_t block_size, uint32_t bytes_max,
                  uint32_t *bytes)
{
    uint32_t sum = 0, best = 0;

    *bytes = 0;
    for (uint32_t i = 0; i < n && i <= NVME_LIST_MAX; i++) {
        if (i && (offset(p[i].at) || offset(p[i - 1].at + p[i - 1].bytes)))
            break;
        if (p[i].bytes > bytes_max - sum)
            break;
        sum += p[i].bytes;
        if (sum % block_size == 0) {
            best = i + 1;
            *bytes = sum;
        }
    }
    return best;
}

void nvme_set_pages(struct nvme_cmd *c, const struct nvme_piece *p, uint32_t n, uint64_t *list,
                    paddr_t list_at)
{
    c->prp1 = p[0].at;
    if (n == 2)
        c->prp2 = p[1].at;
    if (n <= 2)
        return;
    for (uint32_t i = 1; i < n; i++)
        list[i - 1] = p[i].at;
    c->prp2 = list_at;
}
