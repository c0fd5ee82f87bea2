import type { AddressInfo } from 'node:net';
import { SMTPServer } from 'smtp-server';
import { until } from './until';

/** A real SMTP server that keeps the received mails. It closes at the end of the test file. */
export interface Smtp {
  /** The value for `config.mail`. */
  mail: { smtpUrl: string; from: string };
  mails: { to: string; text: string }[];
  /** Number of next mails that it refuses, like a busy server. */
  refusals: number;
  /** Waits for the next mail to an address. Returns the link in it. */
  linkTo(address: string): Promise<string>;
}

export async function startSmtp(): Promise<Smtp> {
  const smtp: Smtp = { mail: { smtpUrl: '', from: 'Tollgate <tollgate@example.com>' }, mails: [], refusals: 0, linkTo };
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onRcptTo: (_address, _session, done) => {
      smtp.refusals -= 1;
      done(smtp.refusals >= 0 ? Object.assign(new Error('Come again later'), { responseCode: 451 }) : null);
    },
    onData: (stream, session, done) => {
      let raw = '';
      stream.on('data', (chunk: Buffer) => (raw += chunk.toString()));
      stream.on('end', () => {
        smtp.mails.push({ to: session.envelope.rcptTo[0]?.address ?? '', text: plainText(raw) });
        done();
      });
    },
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  (globalThis.atEndOfFile ??= []).unshift(() => new Promise((resolve) => server.close(() => resolve())));
  smtp.mail.smtpUrl = `smtp://127.0.0.1:${(server.server.address() as AddressInfo).port}`;
  return smtp;

  async function linkTo(address: string): Promise<string> {
    await until(() => smtp.mails.some(({ to }) => to === address), `a mail to ${address}`);
    const [found] = smtp.mails.splice(
      smtp.mails.findIndex(({ to }) => to === address),
      1,
    );
    return /http\S+/.exec(found?.text ?? '')?.[0] ?? '';
  }
}

/** Decodes a mail, because nodemailer writes long lines as quoted-printable. */
function plainText(raw: string): string {
  if (!/quoted-printable/i.test(raw)) return raw;
  return raw.replace(/=\r?\n/g, '').replace(/=([0-9A-F]{2})/g, (_match, hex: string) => String.fromCharCode(parseInt(hex, 16)));
}
