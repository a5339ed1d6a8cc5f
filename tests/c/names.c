#include "names.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int asked, released;

static bool hangs(const char *node) {
  size_t len = strlen(node), tail = strlen(NAME_THAT_HANGS);
  return len >= tail && strcmp(node + len - tail, NAME_THAT_HANGS) == 0;
}

/* Takes the place of the C library's, also for a shared library: the program is searched first. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict result) {
  int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
  if (node != NULL && hangs(node)) {
    pthread_mutex_lock(&lock);
    asked++;
    pthread_cond_broadcast(&changed);
    while (!released) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return EAI_NONAME;
  }
  if (node != NULL && strcmp(node, NAME_OF_THIS_HOST) == 0) node = "127.0.0.1";
  *(void **) &next = dlsym(RTLD_NEXT, "getaddrinfo");
  return next != NULL ? next(node, service, hints, result) : EAI_SYSTEM;
}

void names_wait_asked(int n) {
  pthread_mutex_lock(&lock);
  while (asked < n) pthread_cond_wait(&changed, &lock);
  pthread_mutex_unlock(&lock);
}

static void set(int value) {
  pthread_mutex_lock(&lock);
  released = value;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

void names_release(void) {
  set(1);
}

void names_hold(void) {
  set(0);
}
