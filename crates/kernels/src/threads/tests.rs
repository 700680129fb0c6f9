use std::sync::atomic::AtomicU32;

use super::*;

#[test]
fn every_task_runs_once() {
    for threads in [0, 1, 2, 3, 8] {
        let pool = ThreadPool::new(threads);
        for tasks in [0, 1, 2, 7, 1000] {
            let runs: Vec<AtomicU32> = (0..tasks).map(|_| AtomicU32::new(0)).collect();
            pool.run(tasks, |i| {
                runs[i].fetch_add(1, Ordering::Relaxed);
            });
            assert!(
                runs.iter().all(|n| n.load(Ordering::Relaxed) == 1),
                "{threads} threads, {tasks} tasks"
            );
        }
    }
}

#[test]
fn many_short_regions_lose_nothing() {
    let pool = ThreadPool::new(3);
    let mut sums = [0u64; 4];
    for round in 0..20_000 {
        let cells = sums.each_mut().map(Mutex::new);
        pool.run(4, |i| **cells[i].lock().unwrap() += 1);
        if round % 1000 == 0 {
            thread::sleep(Duration::from_micros(200)); // long enough for the workers to sleep
        }
    }
    assert_eq!(sums, [20_000; 4]);
}

#[test]
fn all_threads_take_part() {
    let pool = ThreadPool::new(4);
    let barrier = std::sync::Barrier::new(4);
    pool.run(4, |_| {
        barrier.wait();
    });
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_goes_on() {
    let pool = ThreadPool::new(3);
    for bad in [0, 5, 99] {
        let result = catch_unwind(AssertUnwindSafe(|| {
            pool.run(100, |i| assert!(i != bad, "task {i} is bad"))
        }));
        let message = *result.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(message, format!("task {bad} is bad"));
        let count = AtomicU32::new(0);
        pool.run(10, |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(count.into_inner(), 10);
    }
    assert!(catch_unwind(AssertUnwindSafe(|| pool.run(3, |_| panic!("all of them")))).is_err());
}

#[test]
fn a_region_within_a_task_runs_on_its_thread() {
    let pool = ThreadPool::new(2);
    let count = AtomicU32::new(0);
    pool.run(4, |_| {
        let outer = thread::current().id();
        pool.run(5, |_| {
            assert_eq!(thread::current().id(), outer);
            count.fetch_add(1, Ordering::Relaxed);
        });
    });
    assert_eq!(count.into_inner(), 20);
}

#[test]
fn several_threads_share_a_pool() {
    let pool = ThreadPool::new(2);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    let count = AtomicU32::new(0);
                    pool.run(6, |_| {
                        count.fetch_add(1, Ordering::Relaxed);
                    });
                    assert_eq!(count.into_inner(), 6);
                }
            });
        }
    });
}

#[test]
fn sleeping_workers_can_be_dropped() {
    let pool = ThreadPool::new(4);
    thread::sleep(Duration::from_millis(5));
    drop(pool);
    drop(ThreadPool::new(4));
}
