/* A party's folder: what lies where, and its configuration file node.json. */
#ifndef ENT_BASE_CONFIG_H
#define ENT_BASE_CONFIG_H

#include "base/json.h"
#include "base/name.h"

enum { ENT_FORWARD_DELAY_S = 20, ENT_FORWARD_DELAY_MAX_S = 86400 };

/** node.json: {"name","listen":"address:port"|null,"url":text|null,"air_gapped":bool}, and "forward_delay_s":seconds,
 * which is ENT_FORWARD_DELAY_S where it is missing. Texts are owned. */
typedef struct {
    char *name;
    char *listen; /* NULL when air-gapped */
    char *url;    /* NULL when air-gapped */
    bool air_gapped;
    uint32_t
        forward_delay_s; /* how long a member may lack another's log before we carry it; 0 when written: as usual */
} ent_config;

/** Paths inside a party's folder; owned. */
typedef struct {
    char *config;      /* node.json */
    char *alerts;      /* alerts.json */
    char *card;        /* card */
    char *card_next;   /* store/card.next: a rotation on its way */
    char *certificate; /* tls.crt */
    char *keys;        /* keys/ */
    char *root;        /* root/ (unless --root-dir) */
    char *marks;       /* marks/ */
    char *store;       /* store/ */
    char *blobs;       /* blobs/ */
    char *spool;       /* spool/ */
    char *set_aside;   /* set-aside/ */
    char *socket;      /* socket */
} ent_paths;

/** Paths below a folder.  Errors: NOMEM.  Owns: release with ent_paths_release. */
ENT_RC ent_paths_make(const char *folder, ent_paths *ret, ent_err *err);
void ent_paths_release(ent_paths *paths);

/** Read node.json.  Errors: ABSENT (says to run `entente init`), PEER_MALFORMED naming the member, IO, NOMEM. */
ENT_RC ent_config_read(const char *path, ent_config *ret, ent_err *err);
ENT_RC ent_config_write(const char *path, const ent_config *config, ent_err *err);
void ent_config_release(ent_config *config);

#endif
