#!/usr/bin/perl
# made_up.pl exits|fairness SEED: a result as `vireo bench` writes it, of a host that never was: every row there is, long reasons, ten
# processes, and of experiments one that fails. The same seed makes the same file.
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
