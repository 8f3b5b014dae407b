#include "postgres.h"
#include "pgtrickle/scheduler.h"
void pgt_scheduler_register_launcher(void) {}
void pgt_scheduler_shmem_request(void) {}
void pgt_scheduler_shmem_startup(void) {}
void pgt_scheduler_notify_catalog_change(void) {}
