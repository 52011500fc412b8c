// A running `cloneservice-server dev`, the double behind it, and a line to it that can be cut.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, type Socket, connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';

interface Ready {
  target: string;
  stripe: string;
  stripe_api_key: string;
  accounts: { bakery: string; florist: string };
  customers: { pays: string; is_declined: string; must_authenticate: string };
}

export class Server {
  private constructor(readonly ready: Ready, readonly stop: () => Promise<void>) {}

  static async start(): Promise<Server> {
    const command = process.env['CLONESERVICE_SERVER'] ?? 'cloneservice-server';
    const child = spawn(command, ['dev'], { stdio: ['pipe', 'pipe', 'inherit'] });
    await once(child, 'spawn'); // or it says why it cannot
    const [line] = await once(createInterface({ input: child.stdout }), 'line'); // one line, when it takes calls
    return new Server(JSON.parse(line), async () => {
      child.stdin.end(); // the server stops
      await once(child, 'exit');
    });
  }

  /** Calls the double. */
  async stripe(path: string, { account, body }: { account?: string; body?: object } = {}): Promise<any> {
    const headers: Record<string, string> = { Authorization: `Bearer ${this.ready.stripe_api_key}` };
    if (account) headers['Stripe-Account'] = account;
    if (body) headers['Content-Type'] = 'application/json';
    const method = body ? 'POST' : 'GET';
    const answer = await fetch(this.ready.stripe + path, { method, headers, body: body ? JSON.stringify(body) : undefined });
    if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`);
    return answer.json();
  }

  /** Makes the next confirmations of payments go wrong. */
  async confirmations(fault: object): Promise<void> {
    const match = { method: 'POST', path: '/v1/payment_intents/{intent}/confirm' };
    await this.stripe('/_fake/faults', { body: { match, ...fault } });
  }

  /** How many charges of an amount Stripe has on an account. */
  async charged(account: string, amount: number): Promise<number> {
    const { data } = await this.stripe('/v1/charges?limit=100', { account });
    return data.filter((charge: { amount: number }) => charge.amount === amount).length;
  }

  /** A line to the server; `cut` breaks the connections that go through it. */
  async line(): Promise<{ target: string; cut: () => void; close: () => void }> {
    const open = new Set<Socket>();
    const [host, port] = this.ready.target.split(':');
    const line = createServer((near) => {
      const far = connect(Number(port), host!);
      for (const [one, other] of [[near, far], [far, near]] as const) {
        open.add(one);
        one.on('error', () => {}).on('close', () => other.destroy());
        one.pipe(other);
      }
    });
    await once(line.listen(0, '127.0.0.1'), 'listening');
    const cut = () => open.forEach((socket) => socket.destroy());
    return { target: `127.0.0.1:${(line.address() as AddressInfo).port}`, cut, close: () => (cut(), line.close()) };
  }
}
