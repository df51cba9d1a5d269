/** Somebody to call the service as; without a token, nobody in particular. */
export type Identity = { label: string; token: string | null };

/** What the service says about itself in config.json. */
export type Config = { identities: [Identity, ...Identity[]] };

// The label, not the token: tokens are minted anew, and a label means the same person.
const REMEMBERED = 'cartograph:identity';

export async function loadConfig(): Promise<Config> {
  const response = await fetch('/graphiql/config.json');
  if (!response.ok) throw new Error(`config.json answered ${response.status}`);
  return response.json();
}

/** The identity chosen earlier in this browser tab, or else the first. */
export function rememberedIdentity({ identities }: Config): Identity {
  const label = sessionStorage.getItem(REMEMBERED);
  return identities.find((identity) => identity.label === label) ?? identities[0];
}

type Props = {
  identities: Identity[];
  chosen: Identity;
  onChoose: (identity: Identity) => void;
};

export function IdentitySelect({ identities, chosen, onChoose }: Props) {
  const choose = (index: number) => {
    const identity = identities[index]!;
    sessionStorage.setItem(REMEMBERED, identity.label);
    onChoose(identity);
  };
  return (
    <>
      <label htmlFor="identity">Call as</label>
      <select
        id="identity"
        value={identities.indexOf(chosen)}
        onChange={(event) => choose(event.target.selectedIndex)}
      >
        {identities.map((identity, index) => (
          <option key={identity.label} value={index}>
            {identity.label}
          </option>
        ))}
      </select>
    </>
  );
}
