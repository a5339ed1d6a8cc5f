/* A plugin's life: opened, used by a thread, closed while that thread and the thread of a loop still live;
 * then they end and run the thread-local destructors of the library. Loaded and closed several times; with
 * several copies of the library, all of them at once. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

enum { MOST = 4 };

static pthread_barrier_t used, closed;

static void *worker(void *library) {
  const char *(*version)(void);
  int (*init)(void), (*start)(void *), (*end)(void *);
  void *(*create)(void), *loop;
  *(void **) &version = dlsym(library, "mgos_mqtt_version");
  /* Leaves thread-local state behind, if anything does. */
  *(void **) &init = dlsym(library, "mgos_mqtt_init");
  *(void **) &create = dlsym(library, "mgos_mqtt_loop_create");
  *(void **) &start = dlsym(library, "mgos_mqtt_loop_start");
  *(void **) &end = dlsym(library, "mgos_mqtt_loop_free");
  if (version != NULL) puts(version());
  if (init != NULL) init();
  loop = create != NULL ? create() : NULL;
  if (loop == NULL || start == NULL || start(loop) != 0) library = NULL;
  pthread_barrier_wait(&used);
  pthread_barrier_wait(&closed);
  if (loop != NULL && (end == NULL || end(loop) != 0)) library = NULL;
  return version != NULL ? library : NULL;
}

int main(int argc, char **argv) {
  int round, i, n = argc - 1;
  if (n < 1 || n > MOST) return 2;
  for (round = 0; round < 3; round++) {
    pthread_t threads[MOST];
    void *libraries[MOST];
    pthread_barrier_init(&used, NULL, (unsigned) n + 1);
    pthread_barrier_init(&closed, NULL, (unsigned) n + 1);
    for (i = 0; i < n; i++) {
      libraries[i] = dlopen(argv[i + 1], RTLD_NOW | RTLD_LOCAL);
      if (libraries[i] == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
      }
      if (i > 0 && libraries[i] == libraries[0]) return 3;
      if (pthread_create(&threads[i], NULL, worker, libraries[i]) != 0) return 1;
    }
    pthread_barrier_wait(&used);
    for (i = 0; i < n; i++) dlclose(libraries[i]);
    pthread_barrier_wait(&closed);
    for (i = 0; i < n; i++) {
      void *ok = NULL;
      pthread_join(threads[i], &ok);
      if (ok == NULL) return 1;
    }
  }
  return 0;
}
