/* SPDX-License-Identifier: MIT */
/* resolv_conf.h - the part of resolv.conf(5) that c-ares 1.18 does not read: `options timeout:n attempts:n`. */
#ifndef MOONPARK_RESOLV_CONF_H
#define MOONPARK_RESOLV_CONF_H

#include "base/base.h"

/* 0: not given. */
struct resolv_conf {
    int timeout;  /* seconds until the next server is asked: 1 to 30 */
    int attempts; /* rounds through the servers: 1 to 5 */
};

/* Adds the options in the text of a resolv.conf, which may be cut off; later options win. */
void resolv_conf_text(struct resolv_conf *c, const char *text, size_t n);

/* The same for the words only, as in the environment variable RES_OPTIONS. */
void resolv_conf_words(struct resolv_conf *c, const char *words, size_t n);

/* Reads the system's: /etc/resolv.conf, then RES_OPTIONS. An unreadable file counts as empty; -EMFILE, -ENOMEM, ...:
 * a lack of resources kept us from opening it. */
int resolv_conf_read(struct resolv_conf *c);

extern const char resolv_conf_path[];

#endif
