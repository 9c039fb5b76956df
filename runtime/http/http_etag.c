/* SPDX-License-Identifier: MIT */
/* http_etag.c - replacing a file changes its inode; writing to it changes its time, with nanoseconds if the file system
 * keeps them. */
#include "http/http_etag.h"

#include <stdio.h>

size_t http_etag(const struct send_file_info *info, char text[static HTTP_ETAG_MAX])
{
    return (size_t)snprintf(text, HTTP_ETAG_MAX, "\"%llx-%llx-%llx\"", (unsigned long long)info->inode,
                            (unsigned long long)info->size, (unsigned long long)info->modified);
}
