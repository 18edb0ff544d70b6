#!/usr/bin/perl
# made_up.pl exits|fairness|live|recording SEED: what `vireo bench`, `vireo fairness` and `vireo top --record` write, of a host that never was:
# every row there is, long reasons, ten processes, an experiment and a VM that fail. The same seed makes the same file.
use strict;
use warnings;
use JSON::PP;

my ($kind, $seed) = @ARGV;
srand($seed);
my $json = JSON::PP->new->canonical;

my %env = (kind => $kind, arch => 'x86_64', vireo => '0.2.0', time => '2026-01-31T12:00:00Z',
    host => { nature => 'virtual', cpu => 'Made Up(R) 9000 CPU @ 2.00GHz', kernel => '6.1.0-49-cloud-amd64', module => 'kvm_intel', cpus => 4 + $seed,
        parameters => { map { ("parameter_$_" => 'Y') } 1 .. 30 }, mitigations => 'spectre_v2: Retpolines, STIBP: disabled, RSB filling', smt => 'on' },
    counter => { name => 'TSC', hz => 2e9, is_shared => JSON::PP::true }, options => { samples => 10000 });

# The lowest value of a bucket of three digits (vmm/base/hist.h).
sub bucket {
    my $value = int(shift);
    my $step = 1;
    $step *= 2 while $value / $step >= 2048;
    return $value - $value % $step;
}

# Some 4,000 samples around a middle, with a tail.
sub distribution {
    my ($middle, $spread, $tail) = @_;
    my %count;
    $count{ bucket($middle * exp($spread * (rand() + rand() + rand() - 1.5))) }++ for 1 .. 4000;
    $count{ bucket($middle * exp(rand() * 5)) }++ for 1 .. $tail;
    my @at = sort { $a <=> $b } keys %count;
    my ($n, $sum) = (0, 0);
    $n += $count{$_}, $sum += $_ * $count{$_} for @at;
    return { count => $n, min => $at[0], max => $at[-1], sum => $sum, hist => [map { [$_, $count{$_}] } @at] };
}

sub row {
    my ($id, $group, $middle, $ok) = @_;
    my %row = (row => $id, group => $group, status => $ok ? 'ok' : 'unsupported', samples => $ok ? 4200 : 0, disturbed => $ok ? 200 : 0,
        detail => $ok == 10 ? '' : "this host lacks what $id needs, and a sentence says what that is", processes => []);
    push @{ $row{processes} }, { status => $_ < $ok ? 'ok' : 'unsupported', p50 => $_ < $ok ? $middle * (1.1 + rand() / 50) : undef,
        undisturbed => $_ < $ok ? $middle * (1 + rand() / 50) : undef } for 0 .. 9;
    return \%row if !$ok;
    $row{exits} = { expected => 100000, counted => 100345, verdict => 'explained', source => 'exits',
        because => '345 more, less than one a repetition: this KVM counts the interrupts of the host among its exits' };
    $row{identity} = { holds => JSON::PP::true, residual => 3 };
    $row{phases} = { rtt => distribution($middle, 0.3, 200), rtt_undisturbed => distribution($middle, 0.3, 1), user => distribution($middle / 9, 0.1, 1),
        exit_leg => distribution($middle / 3, 0.2, 1), entry_leg => distribution($middle / 2, 0.2, 1), kvm_run => distribution($middle, 0.3, 9) };
    return \%row;
}

sub experiment {
    my ($id, $n, $skew, $verdict) = @_;
    my @vcpus = map { { vm => 0, vcpu => $_, share => 1 / $n, charged => [] } } 0 .. $n - 1;
    for my $sample (1 .. 160) {
        my @part = map { (1 + rand() * 0.4) * ($_ ? 1 : $skew) } 0 .. $n - 1;
        my $sum = 0;
        $sum += $_ for @part;
        push @{ $vcpus[$_]{charged} }, int(5e7 * $part[$_] / $sum) for 0 .. $n - 1;
    }
    my $text = 'vCPU 0 got 812.4 ms less than its share of 0.5 in 8 s: |C - share * sum| = 812.4 ms >= 2 * Q = 8.0 ms (slice 1.4 ms in ticks of 4 ms)';
    return { id => $id, variant => "$n vCPUs on 1 CPU, with a name that is as long as any", status => 'ok', detail => '', vcpus => \@vcpus,
        identities => [{ id => 'C1', holds => JSON::PP::true, text => '|C + R - W| / W = 0.0005 <= 0.005' }],
        properties => [{ id => 'F1', verdict => $verdict, statistic => 8e8, bound => 8e6, unit => 'ns', text => $text, reason => 'vCPU 0 runs at nice 1' },
            map { { id => "F$_", verdict => 'pass', text => $text, reason => '' } } 3 .. 13],
        plots => { convergence => [map { [5e7 * 2**$_, 0.1 / 2**$_] } 0 .. 8], gaps => [map { [1e6 * 2**$_, 1 + int(rand(1000))] } 0 .. 8] } };
}

# The schema comes first, by which a file's kind is seen.
sub object {
    my ($schema, %o) = @_;
    return qq({"schema": "$schema", ) . substr($json->encode(\%o), 1) . "\n";
}

my $long = 'a-virtual-machine-whose-name-is-as-long-as-a-name-may-be-of-63-b';
my $cgroup = '/sys/fs/cgroup/machine.slice/vireo-0123456789abcdef.scope/tenant-with-a-long-name';

sub live_vcpu {
    my ($vm, $number, $part) = @_;
    my @lane = map { [$_ * 1e9, ($_ + 1) * 1e9, int(1e9 * $part * (1 + rand() / 5)), 5e8] } 0 .. 9;
    return { vm => $vm, vcpu => $number, tid => 1000, wanted_ns => 9.9e9, ran_ns => $part * 1e10, waited_ns => (1 - $part) * 1e10, due_ns => 5e9,
        longest_wait_ns => 1.2e8, cpus => '0-1', policy => 0, nice => 1, cgroup => $cgroup, cgroup_weight => 100, throttled => 3, throttled_ns => 1e7,
        lane => \@lane };
}

sub live {
    my $text = "vm $long ran 3.00 s; of the 9.90 s that all VMs got, weight 1 of 2 (equal) while it wanted to run is 4.95 s: it lacks 1950 ms > 66 ms";
    my @cpus = map { { cpu => $_, busy_ns => 1e10, idle_ns => 1e8, steal_ns => 0, others => [map { { pid => 10000 + $_, name => "process-$_", ran_ns => 1e8 } } 1 .. 8] } } 0, 1;
    return object('vireo-fairness-1', verdict => 'fail', summary => "No: $text. Why: its vCPU 0 runs at nice 1, the others at 0", note => '',
        time => '2026-01-31T12:00:00Z', host => 'made-up', kernel => '6.1.0', duration_ns => 1e10, samples => 100, tick_ns => 4e6, slice_ns => 3e6,
        weights => 'equal', vms => [{ name => $long, weight => 1 }, { name => 'web', weight => 1 }], cpus => \@cpus,
        vcpus => [live_vcpu($long, 0, 0.3), map { live_vcpu('web', $_, 0.65) } 0 .. 3],
        properties => [map { { id => $_, title => 'VMs by their weights', verdict => $_ eq 'F10' ? 'fail' : 'pass', text => $text, cause => 'nice 1', reason => '' } } qw(F1 F10 P1 T1 F6 F7 C1 C4)]);
}

sub class {
    my ($name, $rate) = @_;
    return { name => $name, count => int($rate * (1 + rand())), run_ns => 1e8, handler_ns => 1e6, run_p50_ns => 9000, run_p99_ns => 30000 * (1 + rand()),
        handler_p50_ns => 41.5, handler_p99_ns => 181 * (1 + rand()) };
}

sub recording {
    my $out = object('vireo-recording-1', vireo => '0.2.0', time => '2026-01-31T12:00:00Z', interval_ns => 1e9, host => { name => 'made-up', kernel => '6.1.0', cpu => 'Made Up 9000' });
    $out .= $json->encode({ type => 'vm', t_ns => 1e7, vm => 0, name => $long, uuid => '89c5b78b-53aa-4c64-a284-feb0a5a1bfac', pid => 44, vcpus => 2, age_ns => 3e9 }) . "\n";
    for my $second (1 .. 90) {
        my @vcpus = map { { vcpu => $_, exits => 1000, cpu_ns => 4e8 * (1 + rand()), run_delay_ns => 1e8 * rand(), steal_ns => 1e7 } } 0, 1;
        $out .= $json->encode({ type => 'sample', t_ns => $second * 1e9, vm => 0, interval_ns => 1e9, saved => 500, throttled_ns => 1e7, vcpus => \@vcpus,
            classes => [map { class($_, 1000) } 'port out', 'mmio read', 'mmio write', 'halt'], disks => [{ name => 'disk 0 (root)', requests => 100, requests_ns => 1e8 * (1 + rand()) }] }) . "\n";
    }
    for ([exit_rate => 'mmio write', '1/s', 18099.6, 99.1, 1.1], [run_delay => 'vCPU 1', 's/s', 0.487, 0.0637, 0.0431]) {
        my ($metric, $of, $unit, $value, $median, $mad) = @$_;
        $out .= $json->encode({ type => 'alarm', t_ns => 90e9, vm => 0, event => 'begins', metric => $metric, of => $of, unit => $unit, since_ns => 60e9,
            value => $value, median => $median, mad => $mad, samples => 120, is_slow => JSON::PP::false, odds => 9.4e6 }) . "\n";
    }
    return $out;
}

print(live()), exit if $kind eq 'live';
print(recording()), exit if $kind eq 'recording';
my %result = (schema => 'vireo-result-1', kind => $kind, environments => [(\%env) x 10]);
if ($kind eq 'exits') {
    my ($group, %group) = ('');
    my @kernel = qw(cpuid hypercall_null msr_rd_k msr_wr_tscdl cr8 dr7_wr wbinvd pio_in_kernel pio_ioeventfd mmio_ioeventfd mmio_lapic ipi_rtt ipi_self
        hlt_pending hlt_wake_running hlt_wake_polling hlt_wake_descheduled irqfd_running irqfd_halted timer_lat first_touch_4k first_touch_2m dirty_log_wp);
    my @user = qw(pio_out_user pio_in_user pio_string_user mmio_rd_user mmio_wr_user msr_user hlt_user kick_user);
    my $n = 0;
    my @rows = map { row($_, 'control', 30 + rand(50), 10) } qw(nop counter msr_passthrough load);
    push @rows, map { row($_, 'kernel', 1500 * exp(rand(6)), $n++ % 6 == 5 ? 0 : $n % 9 == 0 ? 2 : 10) } @kernel;
    push @rows, map { row($_, 'user', 5000 * exp(rand(1)), 10) } @user;
    $result{rows} = \@rows;
} else {
    $result{experiments} = [experiment('E1', 2, 1, 'pass'), experiment('E2', 2, 0.6, 'fail'), experiment('E3', 8, 1, 'inconclusive'),
        { id => 'E4', variant => 'weights 8:1:1 on 2 CPUs', status => 'unsupported', detail => 'it needs 2 CPUs, there are 1 to use' }];
}
print $json->encode(\%result), "\n";
