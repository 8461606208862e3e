/* omp.h - for the clang-tidy check only: clang's own OpenMP header is another package, gcc's does
 * not parse with clang. */
#pragma once
#ifdef __cplusplus
extern "C" {
#endif
typedef struct {
    void *p;
} omp_lock_t;
void omp_init_lock(omp_lock_t *lock);
void omp_destroy_lock(omp_lock_t *lock);
void omp_set_lock(omp_lock_t *lock);
void omp_unset_lock(omp_lock_t *lock);
void omp_set_num_threads(int n);
int omp_get_max_threads(void);
int omp_get_num_threads(void);
int omp_get_thread_num(void);
#ifdef __cplusplus
}
#endif
